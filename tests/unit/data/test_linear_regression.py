"""The line with noise: the same numbers everywhere, and noise of the size that was asked for."""

import hashlib

import numpy as np
import pytest

from trainingjob.datasets import linear_regression


def test_the_numbers_follow_from_the_seed_alone() -> None:
    x, y = linear_regression(seed=7)
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((1000, 1), (1000, 1), np.float32, np.float32)
    # x is exact arithmetic and must never change; y goes through log and cos, whose last digit is the platform's
    assert (
        hashlib.sha256(x.tobytes()).hexdigest() == "ac73840c53a3052ff655aaab22ae649af56dbcb87c9713f977ea2d3974f5b318"
    )
    np.testing.assert_allclose(y[:3, 0], [-0.1505189, 1.9886341, -0.0272005], rtol=1e-6)
    assert not np.array_equal(x, linear_regression(seed=8)[0])


def test_noise_is_normal_and_x_is_even() -> None:
    x, y = linear_regression(200_000, slope=-4, intercept=0.5, noise=0.3)
    noise = (y - (0.5 - 4 * x))[:, 0]
    assert abs(noise.mean()) < 0.005
    assert abs(noise.std() - 0.3) < 0.003
    assert abs(np.mean(np.abs(noise) < 0.3) - 0.6827) < 0.005  # within one standard deviation
    assert abs(np.mean(np.abs(noise) < 0.6) - 0.9545) < 0.003
    assert abs(np.corrcoef(noise, x[:, 0])[0, 1]) < 0.01
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.01
    counts, _ = np.histogram(x, bins=20, range=(-1, 1))
    assert counts.sum() == 200_000
    assert abs(counts / 10_000 - 1).max() < 0.05


def test_without_noise_it_is_the_line() -> None:
    x, y = linear_regression(10, slope=3, intercept=-1, noise=0)
    np.testing.assert_allclose(y, 3 * x - 1, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"examples": 0}, {"noise": -0.1}, {"noise": float("nan")}])
def test_what_is_no_line_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} is "):
        linear_regression(**wrong)  # type: ignore[arg-type]
