"""Child processes that end with the test run, whatever happens to it."""
import os
import signal
import subprocess

# PostgreSQL refuses to run as root, so root lends its servers to this user.
SERVER_USER = "postgres" if os.geteuid() == 0 else None


def spawn(arguments, *, as_server=False, on_orphan=signal.SIGKILL, **options):
    """Starts a child that gets `on_orphan` when this process dies. Returns the Popen.

    setpriv replaces itself, so the pid is the program's own.
    """
    prefix = ["setpriv", "--pdeathsig", signal.Signals(on_orphan).name[3:]]
    if as_server and SERVER_USER:
        prefix += ["--reuid", SERVER_USER, "--regid", SERVER_USER, "--clear-groups"]
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(prefix + [str(word) for word in arguments], **options)


def run(arguments, *, as_server=False, timeout=120, **options):
    """Runs a child to its end; raises with its output when it fails. Returns its stdout."""
    child = spawn(arguments, as_server=as_server, text=True, stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE, **options)
    try:
        out, err = child.communicate(timeout=timeout)
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode != 0:
        raise RuntimeError(f"{arguments[0]} ended with {child.returncode}:\n{out}{err}")
    return out
