"""Vectors and artists in; how much more likely one artist made two works than two did, out.

A work is taken for its artist's mean plus a deviation, both normally distributed, with one
covariance each: the two-covariance model of speaker verification (Brümmer & de Villiers 2010), a
probabilistic linear discriminant analysis. Fitted by expectation maximisation on principal
components from scikit-learn; scored with numpy alone.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import EvalError
from paint_search.eval.inputs import unit_rows

Floats = NDArray[np.float64]

#: Principal components kept, at most; more fit the artists that are learned from too closely.
_COMPONENTS: Final = 100

#: Works needed for each component, so that covariances are not those of the sample alone.
_WORKS_EACH: Final = 4

#: Of expectation maximisation. What they are worth: benchmarks/README.md.
_ROUNDS: Final = 10

#: Up to this length the d x d covariance fits into 128 MB.
_EXACT: Final = 4096

#: Log likelihoods are multiplied by this: the model is surer than it should be.
_TEMPER: Final = 0.3
_LEAST_CHANCE: Final = 1e-6
_CELLS: Final = 2**23  # shares held at once: 64 MB


@dataclass(frozen=True, eq=False)
class TwoCovariance:
    """The fitted model."""

    mean: Floats  #: (d,) of the rooted vectors
    components: Floats  #: (k, d) principal axes, each divided by its standard deviation
    quadratic: Floats  #: (k, k) and
    #: (k, k): the log likelihood ratio of x and y is x'Qx/2 + y'Qy/2 + x'Py, less a constant that
    #: calibration makes up for.
    product: Floats
    manners: Floats  #: (a, k) what each artist of two works or more is known by, and
    #: (a,) what is taken off: a work's log likelihood of being theirs is linear in it.
    offsets: Floats

    @classmethod
    def fit(cls, vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Fit to (n, d) vectors of n works and the codes of their artists.

        Raises:
            EvalError: fewer than two artists, or none with two works.
        """
        from sklearn.decomposition import PCA

        works = np.bincount(labels)
        if (works > 0).sum() < 2 or works.max(initial=0) < 2:
            raise EvalError("Telling artists apart is learned from two artists with two works.")
        rooted = _rooted(vectors)
        mean = rooted.mean(axis=0)
        kept = max(1, min(_COMPONENTS, len(rooted) // _WORKS_EACH, rooted.shape[1] - 1))
        exact = rooted.shape[1] <= _EXACT
        axes = PCA(kept, svd_solver="covariance_eigh" if exact else "randomized", random_state=0)
        axes.fit(rooted)
        spread = np.sqrt(np.maximum(axes.explained_variance_, 1e-12))
        components = axes.components_ / spread[:, None]
        rows = np.asarray(unit_rows((rooted - mean) @ components.T), dtype=np.float64)
        codes = np.unique(labels, return_inverse=True)[1]
        counts, centre = np.bincount(codes), rows.mean(axis=0)
        sums = np.zeros((len(counts), kept))
        np.add.at(sums, codes, rows - centre)
        within, between = _covariances(rows - centre, codes, sums, counts)
        total = within + between
        inverse = np.linalg.inv(total)
        joint = np.linalg.inv(total - between @ inverse @ between)
        product = inverse @ between @ joint
        # The linear discriminants of the artists of two works or more.
        means = _artist_means(sums, counts, within, between)[0][counts > 1]
        manners = means @ np.linalg.inv(within)
        offsets = np.einsum("ak,ak->a", manners, means) / 2 + manners @ centre
        return cls(mean, components, inverse - joint, product, manners, offsets)

    def centred(self, vectors: NDArray[np.float32]) -> Floats:
        """Return (n, d) unit rows, rooted and with the mean taken off: their cosines tell more."""
        return np.asarray(unit_rows(_rooted(vectors) - self.mean))

    def project(self, vectors: NDArray[np.float32]) -> Floats:
        """Return what is compared, (n, k) unit rows, of (n, d) vectors."""
        return np.asarray(unit_rows((_rooted(vectors) - self.mean) @ self.components.T))

    def ratio(self, left: Floats, right: Floats) -> Floats:
        """Return the log likelihood ratio, (n,), of n pairs of projected rows."""
        own = [np.einsum("nk,nk->n", rows @ self.quadratic, rows) / 2 for rows in (left, right)]
        shared = np.einsum("nk,nk->n", left @ self.product, right)
        return np.asarray(own[0] + own[1] + shared)

    def agreement(self, left: Floats, right: Floats) -> Floats:
        """Return the log of the chance, (n,), that both works of n pairs are by one known artist.

        Each work is shared out among the artists that were learned from; a pair by strangers may
        still agree on whom they are like.
        """
        made = np.empty(len(left))
        step = max(1, _CELLS // max(1, len(self.manners)))
        for start in range(0, len(left), step):
            block = slice(start, start + step)
            shares = [self._shares(rows[block]) for rows in (left, right)]
            made[block] = np.einsum("na,na->n", *shares)
        return np.log(made + _LEAST_CHANCE)

    def _shares(self, rows: Floats) -> Floats:
        odds = _TEMPER * (rows @ self.manners.T - self.offsets)
        shares = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _covariances(
    rows: Floats, codes: NDArray[np.int64], sums: Floats, counts: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Return the covariance within artists and that of their means, from centred rows.

    Begins with moments; each round of expectation maximisation then weighs an artist's mean by how
    well so many works tell it.
    """
    deviations = rows - (sums / counts[:, None])[codes]
    within = _sound(deviations.T @ deviations / max(1, len(rows) - len(counts)))
    between = _sound(rows.T @ rows / len(rows) - within)
    for _ in range(_ROUNDS):
        means, spread, weighed = _artist_means(sums, counts, within, between)
        cross = sums.T @ means
        squares = rows.T @ rows - cross - cross.T + (means * counts[:, None]).T @ means
        within = _sound((squares + weighed) / len(rows))
        between = _sound((spread + means.T @ means) / len(counts))
    return within, between


def _artist_means(
    sums: Floats, counts: NDArray[np.int64], within: Floats, between: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the expected mean of each artist, (a, k), from the sums and counts of their works.

    With it the sums over artists of its covariance (k, k), plain and times their works.
    """
    means, spread, weighed = np.zeros_like(sums), np.zeros_like(within), np.zeros_like(within)
    precision = np.linalg.inv(within)
    for count in np.unique(counts):
        those = counts == count
        posterior = np.linalg.inv(np.linalg.inv(between) + count * precision)
        means[those] = sums[those] @ precision @ posterior
        spread += those.sum() * posterior
        weighed += count * those.sum() * posterior
    return means, spread, weighed


def _sound(covariance: Floats) -> Floats:
    """Return it with no direction of less than a thousandth of the mean variance."""
    values, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    floor = max(1e-9, 1e-3 * float(np.abs(values).mean()))
    return np.asarray((axes * np.maximum(values, floor)) @ axes.T)


def _rooted(vectors: NDArray[np.float32]) -> Floats:
    rows = np.asarray(vectors, dtype=np.float64)
    return np.asarray(unit_rows(np.sign(rows) * np.sqrt(np.abs(rows))))
