"""What arrived is kept by model in steps of five minutes: the highest sample of each, whole, however they came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.realtime.measured import step_of
from shifter.store import loads, traffic
from shifter.store.db import Database
from shifter.store.traffic import Arrived, SizedTraffic
from shifter.views import ModelTraffic
from tests.service.world import T0

MINUTE = timedelta(minutes=1)
STEP = step_of(T0)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    made.upgrade()
    yield made
    made.close()


def one(
    model: str, rate: float, accelerators: float, sizing: str = "s", output: float = 10.0
) -> SizedTraffic:
    return SizedTraffic(ModelTraffic(model, rate, 100.25, output), accelerators, sizing)


def at(minutes: float, *models: SizedTraffic, site: str = "fra", pool: str = "h100") -> Arrived:
    return Arrived(site, pool, T0 + minutes * MINUTE, models)


def keep(database: Database, *arrived: Arrived) -> None:
    with database.write() as db:
        traffic.count(db, arrived)


def kept(database: Database, site: str = "fra") -> dict[int, tuple[SizedTraffic, ...]]:
    with database.read() as db:
        return {step: models for (_, _, step), models in traffic.steps(db, 0, 2**31 - 1, site).items()}


def test_a_step_has_all_models_of_its_highest_sample_and_of_no_other(database: Database) -> None:
    low = at(0, one("a", 9.0, 2.0), one("b", 1.0, 2.0))
    high = at(1, one("c", 0.1, 5.0), one("a", 1 / 3, 1.0))
    keep(database, low)
    assert kept(database) == {STEP: low.models}
    keep(database, high, at(2, one("a", 99.0, 3.0)))
    assert kept(database) == {STEP: (high.models[1], high.models[0])}, "b did not arrive in it; by name"
    keep(database, low, at(5, *low.models), at(4.99, *low.models, pool="other"))
    assert kept(database)[STEP + 1] == low.models
    with database.read() as db:
        assert set(traffic.steps(db, STEP, STEP + 1)) == {("fra", "h100", STEP), ("fra", "other", STEP)}
        assert set(traffic.steps(db, STEP, STEP + 2, "fra", "h100")) == {
            ("fra", "h100", STEP + i) for i in (0, 1)
        }
        assert traffic.steps(db, STEP, STEP + 2, "par") == {}


def test_of_samples_that_need_as_many_the_one_with_the_most_tokens_stands(database: Database) -> None:
    few, many = at(0, one("a", 1.0, 4.0)), at(3, one("a", 1.2, 4.0))
    for order in ((few, many), (many, few)):
        keep(database, *order)
        assert kept(database)[STEP] == many.models


def test_what_was_told_of_no_requests_comes_back(database: Database) -> None:
    nothing = SizedTraffic(ModelTraffic("a", 0.0), 0.0, "s")
    keep(database, at(0, nothing), at(1, nothing))
    assert kept(database) == {STEP: (nothing,)}


def test_what_was_sized_otherwise_is_found_with_all_models_of_its_step(database: Database) -> None:
    mixed = at(0, one("a", 1.0, 1.0, "old"), one("b", 1.0, 1.0, "now"))
    keep(database, mixed, at(5, one("a", 1.0, 1.0, "now")), at(10, one("a", 1.0, 1.0, "old")))
    with database.read() as db:
        found = traffic.sized_otherwise(db, STEP, {"now"})
        assert found == {
            ("fra", "h100", STEP): mixed.models,
            ("fra", "h100", STEP + 2): (one("a", 1.0, 1.0, "old"),),
        }
        assert set(traffic.sized_otherwise(db, STEP + 1, {"now"})) == {("fra", "h100", STEP + 2)}
        assert traffic.sized_otherwise(db, STEP, {"now", "old"}) == {}


def test_it_is_forgotten_with_the_load(database: Database) -> None:
    keep(database, at(0, one("a", 1.0, 1.0)), at(5, one("a", 1.0, 1.0)))
    with database.write() as db:
        loads.prune(db, T0 + 5 * MINUTE, T0)
    assert set(kept(database)) == {STEP + 1}


def test_a_long_history_at_once(database: Database) -> None:
    given_ = [at(5 * i, one("a", float(i), float(i % 7))) for i in range(1200)]
    keep(database, *given_)
    keep(database, *(at(5 * i + 1, one("a", float(i), 3.0)) for i in range(1200)))
    found = kept(database)
    assert {step - STEP: traffic.accelerators(models) for step, models in found.items()} == {
        i: float(max(3, i % 7)) for i in range(1200)
    }


_model = st.builds(
    one,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.sampled_from([0.0, 2.0, 4.0]),
    st.sampled_from(["s", "t"]),
    st.sampled_from([1.0, 3.0]),
)
_models = st.lists(_model, min_size=1, max_size=3, unique_by=lambda m: m.traffic.model)
_samples = st.lists(st.tuples(st.integers(0, 9), _models), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def one_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("steps")
    made = Database(f"sqlite:///{folder / 'shifter.db'}")
    made.upgrade()
    yield made
    made.close()


class TestAnyOrder:
    sites = count()

    @settings(max_examples=40, deadline=None)
    @given(samples=_samples, data=st.data())
    def test_and_any_repetition_make_the_same_steps(
        self, one_database: Database, samples: list[tuple[int, list[SizedTraffic]]], data: st.DataObject
    ) -> None:
        first, second = f"x{next(self.sites)}", f"y{next(self.sites)}"
        keep(one_database, *(at(m, *models, site=first) for m, models in samples))
        again = data.draw(st.permutations(samples + samples[: len(samples) // 2]))
        cut = data.draw(st.integers(0, len(again)))
        for part in (again[:cut], again[cut:]):
            keep(one_database, *(at(m, *reversed(models), site=second) for m, models in part))
        found = kept(one_database, first)
        assert found == kept(one_database, second)
        for step, models in found.items():
            of_step = [ms for m, ms in samples if step_of(T0 + m * MINUTE) == step]
            assert traffic.accelerators(models) == max(map(traffic.accelerators, of_step))
            assert sorted(models, key=str) in [sorted(ms, key=str) for ms in of_step], "one that came, whole"
