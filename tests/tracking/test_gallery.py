"""The exponential average of a track's embeddings."""

from __future__ import annotations

import numpy as np

from pipeline.tracking.gallery import Gallery, normalised

ROWS = np.array([0, 1])
EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


def test_the_first_embedding_is_taken_as_it_is() -> None:
    gallery = Gallery(momentum=0.9)
    gallery.append(2)
    gallery.update(ROWS, np.array([EAST, NORTH]))
    np.testing.assert_allclose(gallery.embeddings[:, 0], [EAST, NORTH], rtol=1e-6)


def test_later_ones_turn_it_by_their_share() -> None:
    gallery = Gallery(momentum=0.6)
    gallery.append(2)
    gallery.update(ROWS, np.array([EAST, NORTH]))
    gallery.update(ROWS[:1], NORTH[None])
    expected = np.array([0.6, 0.4]) / np.hypot(0.6, 0.4)
    np.testing.assert_allclose(gallery.embeddings[:, 0], [expected, NORTH], rtol=1e-6)


def test_a_track_not_seen_is_like_nothing() -> None:
    gallery = Gallery(momentum=0.9)
    gallery.append(1)
    assert gallery.similarity(np.array([0]), EAST[None]).tolist() == [[0]]
    gallery.append(1)
    gallery.update(np.array([1]), EAST[None])
    alike = gallery.similarity(ROWS, np.array([EAST, NORTH]))
    np.testing.assert_allclose(alike, [[0, 0], [1, 0]], atol=1e-6)


def test_keep() -> None:
    gallery = Gallery(momentum=0.9)
    gallery.append(2)
    gallery.update(ROWS, np.array([EAST, NORTH]))
    gallery.keep(np.array([False, True]))
    np.testing.assert_allclose(gallery.embeddings[:, 0], [NORTH], rtol=1e-6)


def test_normalised() -> None:
    rows = np.array([[3, 4], [0, 0]], np.float32)
    np.testing.assert_allclose(normalised(rows), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert normalised(rows).dtype == np.float32
