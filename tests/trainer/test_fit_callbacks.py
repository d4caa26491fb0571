"""Keras's callbacks on several members: logs of the global batch, the same decisions, files of the chief only."""

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.close import differences
from tests.trainer.gang import run_gang, run_plain

pytestmark = [pytest.mark.gang, pytest.mark.slow]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in ("plain", "gang")}


@pytest.fixture(scope="module")
def plain(folders: dict[str, Path]) -> Any:
    return run_plain("fit_callbacks.py", str(folders["plain"]))[0]


@pytest.fixture(scope="module")
def gang(folders: dict[str, Path]) -> list[Any]:
    return run_gang("fit_callbacks.py", str(folders["gang"]), members=2)


@pytest.mark.parametrize("case", ["every_batch", "early_stop_and_plateau", "writers", "restored"])
def test_callbacks_see_and_do_what_they_do_on_one_worker(plain: Any, gang: list[Any], case: str) -> None:
    for found in gang:
        assert not differences(plain[case], found[case], floor=0.1)  # weights are of that size


def test_early_stopping_did_stop(plain: Any) -> None:
    assert 0 < plain["early_stop_and_plateau"]["stopped"] < 29


def test_the_folder_holds_the_same_files_as_after_one_worker(
    plain: Any, gang: list[Any], folders: dict[str, Path]
) -> None:
    def names(folder: Path) -> list[str]:
        found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        return sorted(str(path.parent if "tfevents" in path.name else path) for path in found)

    assert "last.keras" in names(folders["plain"])
    assert names(folders["gang"]) == names(folders["plain"])


def test_the_csv_log_has_one_line_an_epoch(gang: list[Any], folders: dict[str, Path]) -> None:
    with Path(folders["gang"], "log.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["0", "1"]
    assert float(lines[1]["val_loss"]) == pytest.approx(gang[0]["writers"]["history"]["val_loss"][1])
