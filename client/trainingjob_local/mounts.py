"""A pod's volumes as folders of this machine, and the paths of the job that lead into them.

There is no file system of one's own for a process, so a mount is a word that is replaced: whatever the job says that
begins with a mount path (arguments, variables, paths of data, checkpoints and output) is told to the member with the
folder in its place. What a program has written into its own text stays as it is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainingjob_operator.core.volumes import SOURCE_DIR

#: Kinds of volumes that a person must say a folder for, with what they are called.
_ELSEWHERE = {
    "configMap": "ConfigMap", "secret": "Secret", "nfs": "an NFS server", "csi": "a CSI volume",
    "ephemeral": "an ephemeral claim", "projected": "a projected volume",
}  # fmt: skip
#: These are there on every machine, and programs write them into their text.
OWN_PATHS = ("/tmp", "/dev/shm")  # noqa: S108
#: What the launcher is given in other ways here.
_OPERATORS = ("report-token", "launcher")


@dataclass(frozen=True)
class Places:
    """Where folders lie. `given` are mount paths with folders that a person named, absolute."""

    given: Mapping[str, Path]
    data: Path
    """What is kept: a folder for each claim."""
    member: Path
    """What goes with the member: its empty folders."""
    write: Callable[[str, str, Mapping[str, str] | None], Path | None]
    """(kind, name, items) -> the folder with a ConfigMap's or Secret's files, None when the job's file has none."""


@dataclass(frozen=True)
class Mount:
    """A mount path and its folder. `kept` is whether the folder stays when the run is over."""

    path: str
    folder: Path
    kept: bool
    read_only: bool = False


@dataclass(frozen=True)
class Mounts:
    """All mounts of one member, the longest paths first, so that a mount within a mount wins."""

    mounts: tuple[Mount, ...]

    @classmethod
    def of(cls, mounts: Iterable[Mount]) -> "Mounts":
        """Return them in order."""
        return cls(tuple(sorted(mounts, key=lambda mount: (-len(mount.path), mount.path))))

    def find(self, path: str) -> Mount | None:
        """Return the mount that a path lies on."""
        return next((m for m in self.mounts if path == m.path or path.startswith(m.path + "/")), None)

    def path(self, text: str) -> str:
        """Return a path with the folder in the place of its mount; any other text as it is."""
        mount = self.find(text)
        return text if mount is None else str(mount.folder) + text[len(mount.path) :]

    def argument(self, text: str) -> str:
        """Return an argument: a path, or an option with one, --data=/data/train."""
        if text.startswith("-") and "=" in text:
            option, _, value = text.partition("=")
            return f"{option}={self.path(value)}"
        return self.path(text)

    def variable(self, text: str) -> str:
        """Return a variable's value: a path, or several with colons between them."""
        return ":".join(self.path(part) for part in text.split(":"))

    def document(self, value: Any) -> Any:
        """Return a JSON value with all paths in it replaced; names of fields stay."""
        if isinstance(value, str):
            return self.path(value)
        if isinstance(value, list):
            return [self.document(one) for one in value]
        if isinstance(value, dict):
            return {name: self.document(one) for name, one in value.items()}
        return value


def mounts_of(pod: Mapping[str, Any], container: Mapping[str, Any], places: Places) -> tuple[Mounts, list[str]]:
    """Return the mounts of a pod's container, and what is wrong: volumes that nobody said a folder for.

    Folders are named, not made: see `make`.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    wants = container.get("volumeMounts") or ()
    read_only = {wanted["mountPath"].rstrip("/") for wanted in wants if wanted.get("readOnly")}
    mounts = [Mount(path, folder, True, path in read_only) for path, folder in places.given.items()]
    problems = []
    for wanted in wants:
        path, name = wanted["mountPath"].rstrip("/"), wanted["name"]
        if path in places.given or path in OWN_PATHS or name in _OPERATORS:
            continue
        found = _folder(volumes.get(name, {"name": name}), path, places)
        if isinstance(found, str):
            problems.append(found)
        elif found is not None:
            inner = wanted.get("subPath", "")
            mounts.append(Mount(path, found.folder / inner, found.kept, path in read_only))
    return Mounts.of(mounts), problems


def unfilled(mounts: Mounts) -> list[str]:
    """Return what is wrong with folders that the job only reads: an empty one in their place helps nobody."""
    return [
        f"{mount.path}: {mount.folder} is not there, and the job only reads it: put the data there, or give another "
        f"folder: --volume {mount.path}=FOLDER"
        for mount in mounts.mounts
        if mount.read_only and not mount.folder.exists()
    ]


def make(mounts: Mounts) -> None:
    """Make the folders that are not there.

    Raises:
        OSError: one can't be made.
    """
    for mount in mounts.mounts:
        if not mount.folder.exists():
            mount.folder.mkdir(parents=True)


def _folder(volume: Mapping[str, Any], path: str, places: Places) -> Mount | str | None:
    """Return a volume's folder, what is wrong, or None for one that the member starts without."""
    if "emptyDir" in volume:
        return Mount(path, places.member / "volumes" / volume["name"], kept=False)
    if "persistentVolumeClaim" in volume:
        return Mount(path, places.data / volume["persistentVolumeClaim"]["claimName"], kept=True)
    if "hostPath" in volume:
        return Mount(path, Path(volume["hostPath"]["path"]), kept=True)
    remedy = f"give a folder for it: --volume {path}=FOLDER"
    for kind, key in (("configMap", "name"), ("secret", "secretName")):
        if kind in volume:
            source = volume[kind]
            items = {item["key"]: item["path"] for item in source.get("items") or ()} or None
            folder = places.write(_ELSEWHERE[kind], source[key], items)
            if folder is not None:
                return Mount(path, folder, kept=False)
            if source.get("optional"):
                return None
            if path == SOURCE_DIR:
                remedy = "give the folder with its files: --source FOLDER"
            also = "" if kind == "secret" else ", or put the ConfigMap into the job's file"
            return f"{path}: {_ELSEWHERE[kind]} {source[key]} is not on this machine: {remedy}{also}"
    what = next((word for kind, word in _ELSEWHERE.items() if kind in volume), "a volume of a kind unknown here")
    return f"{path}: {what} is not on this machine: {remedy}"


def parse_volumes(given: Iterable[str], base: Path) -> dict[str, Path]:
    """Read --volume /mount/path=FOLDER; folders are relative to `base`.

    Raises:
        ValueError: one is not of that form; the text says which.
    """
    out = {}
    for text in given:
        path, separator, folder = text.partition("=")
        if not separator or not folder or not path.startswith("/") or not path.strip("/"):
            raise ValueError(f"--volume {text}: write the mount path and a folder, like --volume /data=./my-data")
        out["/" + path.strip("/")] = base / Path(folder).expanduser()
    return out
