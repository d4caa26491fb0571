"""The fence of a checkpoint folder: who was replaced writes no more into it.

A chief that comes back from a partition may train on beside its successor for a while. Each generation has a pair
(incarnation of the chief, number), which the launcher gives in TRAININGJOB_GENERATION. `trainingjob-fence.json` in
the folder holds the highest pair that ever trained there. A trainer writes its own pair when it starts, before it
reads a checkpoint, and looks at the file before it writes one and again before that gets its name: who finds a higher
pair leaves everything as it is and ends with exit code 75.
"""

from __future__ import annotations

import json
import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional, Tuple, Union

    from trainingjob._checkpoint_storage import Local, Remote

    Pair = Tuple[int, int]

VARIABLE = "TRAININGJOB_GENERATION"
NAME = "trainingjob-fence.json"
PROBE = "trainingjob-probe"
FENCED = 75  # exit code: not this program's fault, and not to be run again by this generation
log = logging.getLogger("trainingjob")


class FencedError(SystemExit):
    """A later generation trains with this folder. Ends the program with exit code 75 if nobody catches it."""

    def __init__(self, text: str) -> None:
        super().__init__(FENCED)
        self.text = text

    def __str__(self) -> str:
        return self.text


class Fence:
    """The fence of one folder, for a process of the generation `pair`; None when the launcher gave none."""

    def __init__(self, storage: Union[Local, Remote], pair: Optional[Pair]) -> None:
        self._storage = storage
        self._pair = pair

    def claim(self) -> None:
        """Write our pair if it is the highest; see that the folder can be written to in any case.

        Raises:
            FencedError: another one is higher.
            OSError, tf.errors.OpError: the folder can't be written to.
        """
        if self._pair is None:
            self._storage.write(PROBE, lambda stream: _put(stream, b"{}"))
            self._storage.remove(PROBE)
        elif self.check() != self._pair:
            document = {"incarnation": self._pair[0], "generation": self._pair[1]}
            self._storage.write(NAME, lambda stream: _put(stream, json.dumps(document).encode()))

    def hold(self) -> None:
        """Do `claim` again where our pair is not in the folder: it was full then, or the file was damaged."""
        if self._pair is not None and self.check() != self._pair:
            self.claim()

    def check(self) -> Optional[Pair]:
        """Return the pair in the folder, None for none that can be read.

        Raises:
            FencedError: it is higher than ours.
        """
        if self._pair is None:
            return None
        highest = self._read()
        if highest is not None and highest > self._pair:
            text = (
                f"checkpoint: the folder {self._storage.folder} belongs to generation {_shown(highest)} now, this "
                f"trainer is of generation {_shown(self._pair)}: it was replaced, writes nothing and ends"
            )
            log.error("%s", text)
            raise FencedError(text)
        return highest

    def _read(self) -> Optional[Pair]:
        try:
            with self._storage.open(NAME) as stream:
                found = json.loads(stream.read())
            return _whole(found["incarnation"]), _whole(found["generation"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            where = self._storage.path(NAME)
            log.warning("checkpoint: %s is damaged (%s: %s) and is written anew", where, type(error).__name__, error)
            return None


def pair_of(environ: Mapping[str, str]) -> Optional[Pair]:
    """Return (incarnation, number) of TRAININGJOB_GENERATION; None without it, as on a laptop.

    Raises:
        ValueError: it is something else than INCARNATION.NUMBER.
    """
    text = environ.get(VARIABLE, "")
    if not text:
        return None
    incarnation, dot, number = text.partition(".")
    if not (dot and incarnation.isdecimal() and number.isdecimal()):
        raise ValueError(f"{VARIABLE} is {text!r}; the launcher sets it to INCARNATION.NUMBER, like 1.3")
    return int(incarnation), int(number)


def _shown(pair: Pair) -> str:
    return f"{pair[0]}.{pair[1]}"


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of a generation")
    return value


def _put(stream: Any, data: bytes) -> None:
    stream.write(data)
