"""The programs of docker-compose.apps.yml for its tests: Debian's PostgreSQL, Redis and exporters, only unpacked.

Nothing is installed: apt resolves and downloads with separate state, the packages are unpacked into a cache, and
programs of the system are used where present. Root is not needed; under root, PostgreSQL runs as `nobody`.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import build
from testkit.ports import LOOPBACK, free_port
from testkit.processes import Process, StackError

PACKAGES = (
    "postgresql-15",
    "redis-server",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "prometheus-node-exporter",
)
FOLDERS = ("usr/lib/postgresql/15/bin", "usr/bin", "usr/sbin")
PROGRAMS = ("initdb", "postgres", "psql", "redis-server", *PACKAGES[2:])


def apps_root() -> Path:
    """Where the packages are unpacked; under root a folder that `nobody` can read."""
    return Path("/var/cache/blogauto_otel-stack/apps") if os.geteuid() == 0 else build.cache_root() / "apps"


def ensure_apps() -> Path:
    """The folder of the unpacked packages; downloads what neither the folder nor the system has.

    Raises:
        StackError: The machine has no apt, or apt cannot get a package; the message says which.
    """
    root = apps_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root.parent / ".apps.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(find(name) for name in PROGRAMS):
            _download(root)
    absent = [name for name in PROGRAMS if not find(name)]
    if absent:
        raise StackError(f"Debian's packages {', '.join(PACKAGES)} do not contain {', '.join(absent)}.")
    return root


def find(name: str) -> Path | None:
    """The executable, unpacked or from the system."""
    paths = (base / folder / name for base in (apps_root(), Path("/")) for folder in FOLDERS)
    return next((path for path in paths if path.is_file()), None)


def _download(root: Path) -> None:
    if shutil.which("apt-get") is None:
        raise StackError(f"The optional services are proved with Debian's packages ({', '.join(PACKAGES)}): needs apt.")
    work = Path(tempfile.mkdtemp(prefix=".apt-", dir=root.parent))
    try:
        _apt(work, "update")
        _apt(work, "install", "--yes", "--download-only", "--no-install-recommends", "--no-upgrade", *PACKAGES)
        for package in (work / "cache" / "archives").glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(root)])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _apt(work: Path, *arguments: str) -> None:
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    own = {"Dir::State::lists": work / "lists", "Dir::Cache": work / "cache", "Debug::NoLocking": "1"}
    # apt would switch to its own user, who cannot write here.
    options = [f"-o{name}={value}" for name, value in {**own, "APT::Sandbox::User": "root"}.items()]
    _run(["apt-get", "--quiet", *options, *arguments])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{command[0]} {command[-1]} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def _library_path() -> dict[str, str]:
    folders = sorted({str(path.parent) for path in (apps_root() / "usr" / "lib").rglob("*.so*")})
    return {"LD_LIBRARY_PATH": ":".join(folders)} if folders else {}


def _program(name: str) -> str:
    ensure_apps()
    return str(find(name))


def _unprivileged() -> str | None:
    return "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root


class Postgres(Process):
    """A PostgreSQL on loopback; its superuser is `admin` with `password`."""

    password: str
    data: Path

    def sql(self, *statements: str) -> None:
        """Run statements as the administrator.

        Raises:
            StackError: With psql's output.
        """
        where = ["--host", LOOPBACK, "--port", str(self.port), "--username", "admin", "--dbname", "postgres"]
        command = [_program("psql"), *where, "--no-psqlrc", "--set=ON_ERROR_STOP=1"]
        environment = {**os.environ, **_library_path(), "PGPASSWORD": self.password}
        for statement in statements:
            done = subprocess.run(
                [*command, "--command", statement], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise StackError(f"{statement}: {done.stderr.strip()}")

    def stop(self, timeout: float = 30.0) -> int:
        """End it and remove its data."""
        status = super().stop(timeout)
        shutil.rmtree(self.data, ignore_errors=True)
        return status


def start_postgres(*, tmp: Path, password: str) -> Postgres:
    """Start PostgreSQL with password authentication; only the log goes under `tmp`."""
    data = Path(tempfile.mkdtemp(prefix="blogauto-postgres-"))  # `nobody` cannot read pytest's folders
    secret = data / "password"
    secret.write_text(password)
    user = _unprivileged()
    for path in (data, secret):
        if user is not None:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    cluster, port = data / "cluster", free_port()
    how = [f"--pgdata={cluster}", "--username=admin", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
    environment = {**os.environ, **_library_path(), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [_program("initdb"), *how], env=environment, user=user, cwd=data, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(f"initdb failed: {done.stderr.strip()}")
    settings = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": "", "fsync": "off"}
    command = [_program("postgres"), "-D", str(cluster), *(f"--{name}={value}" for name, value in settings.items())]
    postgres = Postgres(
        "postgres",
        command,
        ready_url="tcp:",
        url=f"postgresql://{LOOPBACK}:{port}",
        log=tmp / "postgres.log",
        env=_library_path(),
        user=user,
    )
    postgres.password, postgres.data = password, data
    return postgres


def start_redis(*, tmp: Path, password: str) -> Process:
    """Start Redis without persistence, with a password."""
    port = free_port()
    settings = {"bind": LOOPBACK, "port": str(port), "requirepass": password, "save": "", "dir": str(tmp)}
    command = [_program("redis-server"), *(part for name, value in settings.items() for part in (f"--{name}", value))]
    url = f"redis://{LOOPBACK}:{port}"
    return Process("redis", command, ready_url="tcp:", url=url, log=tmp / "redis.log", env=_library_path())


def start_exporter(
    name: str, *, tmp: Path, env: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> Process:
    """Start the `postgres`, `redis` or `node` exporter."""
    address = f"{LOOPBACK}:{free_port()}"
    url, log = f"http://{address}", tmp / f"{name}-exporter.log"
    command = [_program(f"prometheus-{name}-exporter"), f"--web.listen-address={address}", *arguments]
    environment = {**_library_path(), **(env or {})}
    return Process(f"{name} exporter", command, ready_url=f"{url}/", url=url, log=log, env=environment)
