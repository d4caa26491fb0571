"""One checkpoint as one `.npz` file: every variable under its own name, and an entry of JSON that says where it was.

One file is whole or it is not: a zip archive has its directory at the end and a checksum for every entry, so a file
that a killed process left behind is recognised when it is read. `numpy.load` opens it, to look into by hand.

numpy's own format has no name for bfloat16 and the float8 types: such arrays are kept as the bits that they are, and
the JSON entry names the type.
"""

from __future__ import annotations

import errno
import json
import zipfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Dict, Mapping, Tuple

HEADER = "checkpoint.json"
FORMAT = 1


def pack(array: Any) -> Tuple[Any, str]:
    """Return `array` in a type that numpy can store, and the name of its own type."""
    import numpy

    if array.dtype.kind == "O":
        raise TypeError("holds strings or objects; only numbers can be in a checkpoint")
    if array.dtype.isbuiltin != 2:  # 2: a type that a library has added
        return array, str(array.dtype)
    return numpy.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").reshape(array.shape), array.dtype.name


def unpack(array: Any, name: str) -> Any:
    """Undo `pack`."""
    return array if str(array.dtype) == name else array.view(dtype(name))


def dtype(name: str) -> Any:
    """The numpy type of that name, also of those that TensorFlow brings along."""
    import numpy

    try:
        return numpy.dtype(name)
    except TypeError:
        import ml_dtypes  # comes with TensorFlow

        return numpy.dtype(getattr(ml_dtypes, name))


def save(stream: IO[bytes], arrays: Mapping[str, Any], position: Mapping[str, Any]) -> None:
    """Write `arrays` (name → numpy array) and `position` (plain JSON) as one archive."""
    import numpy

    types: Dict[str, str] = {}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            try:
                stored, types[name] = pack(array)
            except TypeError as error:
                raise TypeError(f"checkpoint: the variable {name!r} {error}") from None
            with archive.open(name + ".npy", "w", force_zip64=True) as entry:
                numpy.lib.format.write_array(entry, stored, allow_pickle=False)
        header = {"format": FORMAT, "position": dict(position), "types": types}
        archive.writestr(HEADER, json.dumps(header))


def load(stream: IO[bytes]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Read what `save` wrote: (arrays, position).

    Raises:
        BrokenError: the file is not whole, or no checkpoint at all.
        NewerError: it is whole, but of a format that this version does not know.
    """
    import numpy

    try:
        with zipfile.ZipFile(stream) as archive:
            header = json.loads(archive.read(HEADER))
            if header["format"] != FORMAT:
                raise NewerError(f"has format {header['format']}; this version of trainingjob reads format {FORMAT}")
            arrays = {}
            for name, kind in header["types"].items():
                with archive.open(name + ".npy") as entry:
                    arrays[name] = unpack(numpy.lib.format.read_array(entry, allow_pickle=False), kind)
            return arrays, header["position"]
    except NewerError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a disk that can't be read says nothing about the file
            raise
        raise BrokenError(f"{type(error).__name__}: {error}") from error
    except Exception as error:  # damaged bytes lead zipfile and numpy to errors of any kind
        raise BrokenError(f"{type(error).__name__}: {error}") from error


class BrokenError(Exception):
    """Not a whole checkpoint: what a process left behind that was killed while it wrote, or a damaged disk."""


class NewerError(Exception):
    """A checkpoint that a later version of trainingjob wrote."""
