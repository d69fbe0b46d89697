"""Settings: precedence, places, the nearest name, nothing secret shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from forecasts.learning import BY_DEFAULT, Learning
from shifter.classify.policy import default_policy
from shifter.errors import InputError
from shifter.settings import Settings, load_settings, settings_provenance
from shifter.settings.relative import relative_to
from tests.files.good import mistakes


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "shifter.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(
    tmp_path: Path,
    text: str = "",
    overrides: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_settings(write(tmp_path, text), overrides or {}, environ or {})
    return [m.replace(f"{tmp_path}/", "") for m in mistakes(caught)]


def test_without_anything_the_defaults_hold() -> None:
    assert load_settings(None, {}, {}) == Settings()
    assert Settings().classification_policy() == default_policy()


def test_command_line_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(
        tmp_path, "port: 1\nhost: file\nplanning: {horizon_hours: 1, slot_minutes: 5}\nlog:\n  level: debug\n"
    )
    environ = {
        "SHIFTER_PORT": "2",
        "SHIFTER_PLANNING__HORIZON_HOURS": "2",
        "SHIFTER_PLANNING__DEBOUNCE_S": "0.5",
        "PATH": "x",
        "SHIFTER_URL": "http://of.the.client",
    }
    overrides = {"port": 3, "planning.debounce_s": 0, "host": None, "log": {"format": "json"}}
    settings = load_settings(file, overrides, environ)
    assert (settings.port, settings.host) == (3, "file")
    planning = settings.planning
    assert (planning.horizon_hours, planning.slot_minutes, planning.debounce_s) == (2, 5, 0)
    assert planning.replan_minutes == 30
    assert (settings.log.level, settings.log.format) == ("debug", "json")

    origins = {
        key: p.origin.replace(f"{tmp_path}/", "")
        for key, p in settings_provenance(file, overrides, environ).items()
    }
    assert origins["port"] == "--port"
    assert origins["host"] == "shifter.yaml:2:7"
    assert origins["planning.horizon_hours"] == "SHIFTER_PLANNING__HORIZON_HOURS"
    assert origins["planning.slot_minutes"] == "shifter.yaml:3:44"
    assert origins["planning.replan_minutes"] == "default"
    assert origins["planning.debounce_s"] == "--planning.debounce_s"
    assert origins["log.level"] == "shifter.yaml:5:10"


def test_the_environment_in_force_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIFTER_PORT", "4")
    assert load_settings().port == 4


def test_variables_of_every_sort() -> None:
    environ = {
        "SHIFTER_DATABASE": "sqlite:///1",
        "SHIFTER_FLEET": "12",
        "SHIFTER_CLOCK": "",
        "SHIFTER_REALTIME": "{profile: typical}",
        "SHIFTER_FORECASTS__FX__GBP": "1.17",
        "SHIFTER_FORECASTS__SOURCES": "[{name: csv, options: {path: f.csv}}]",
        "SHIFTER_POLICY__DEFAULTS": "true",
    }
    settings = load_settings(None, {}, environ)
    assert (settings.database, settings.fleet, settings.clock) == ("sqlite:///1", "12", None)
    assert settings.realtime.profile == "typical"
    assert settings.forecasts.fx == {"GBP": 1.17}
    assert settings.forecasts.sources[0].options == {"path": "f.csv"}
    assert load_settings(None, {}, {"SHIFTER_REALTIME": "rt.csv"}).realtime.path == "rt.csv"


def test_a_prior_is_a_file_beside_the_settings_and_not_a_list(tmp_path: Path) -> None:
    asked = {"realtime": {"prior": "rt.csv", "meters": []}}
    assert relative_to(tmp_path, asked)["realtime"] == {"prior": str(tmp_path / "rt.csv"), "meters": []}
    both = relative_to(tmp_path, {"realtime": {"path": "a.csv", "prior": "b.csv"}})["realtime"]
    assert both == {"path": str(tmp_path / "a.csv"), "prior": str(tmp_path / "b.csv")}
    assert asked["realtime"]["prior"] == "rt.csv"
    with pytest.raises(InputError, match="`prior` must be text, not a list"):
        load_settings(write(tmp_path, "fleet: fleet.yaml\nrealtime: {prior: [a]}\n"), {}, {})


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    text = """
fleet: fleet.yaml
database: sqlite:///data/s.db
realtime: rt.csv
forecasts:
  sources:
    - {name: csv, options: {path: f.csv}}
    - {name: csv, options: {url: "https://a/f.csv"}}
    - {name: tariff, options: {currency: EUR, timezone: UTC, wholesale: {name: csv, options: {path: p.csv}}}}
"""
    settings = load_settings(write(tmp_path, text), {}, {})
    assert settings.fleet == str(tmp_path / "fleet.yaml")
    assert settings.database == f"sqlite:///{tmp_path}/data/s.db"
    assert settings.realtime.path == str(tmp_path / "rt.csv")
    assert [s.options for s in settings.forecasts.sources] == [
        {"path": str(tmp_path / "f.csv")},
        {"url": "https://a/f.csv"},
        {
            "currency": "EUR",
            "timezone": "UTC",
            "wholesale": {"name": "csv", "options": {"path": str(tmp_path / "p.csv")}},
        },
    ]
    again = load_settings(
        write(tmp_path, text),
        {"fleet": "x.yaml", "realtime": Path("/r.csv")},
        {"SHIFTER_DATABASE": "sqlite:///y"},
    )
    assert (again.fleet, again.realtime.path, again.database) == ("x.yaml", "/r.csv", "sqlite:///y")
    for database in (
        "sqlite:////abs/s.db",
        "sqlite:///:memory:",
        "sqlite://",
        "postgresql+psycopg://u:p@h/n",
    ):
        assert load_settings(write(tmp_path, f'database: "{database}"'), {}, {}).database == database


@pytest.mark.parametrize("text", ["", "# all\n#port: 1\n", "planning:\nlog:\nrealtime:\npolicy:\n"])
def test_files_and_sections_without_anything_mean_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_settings(write(tmp_path, text), {}, {}) == Settings()


TWO_LINES = "forecasts: {{sources: [{{name: tariff, options: {{currency: EUR, timezone: UTC,\n  wholesale: {}}}}}]}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot: 1\n", "shifter.yaml:1:1 prot: the key `prot` is not known. Did you mean `port`?"),
        (
            "planning:\n  slot_minute: 5\n",
            "shifter.yaml:2:3 planning.slot_minute: the key `slot_minute` is not known. Did",
        ),
        (
            "planning:\n  slot_minutes: 7\n",
            "shifter.yaml:2:17 planning.slot_minutes: must be one of 5, 10, 15, 30, 60, not 7",
        ),
        ("port: '80'\n", "shifter.yaml:1:7 port: `port` must be a whole number"),
        ("port: 99999\n", "must be at most 65535"),
        ("port: 1\nport: 2\n", "shifter.yaml:2:1 port: the key `port` is given twice"),
        ("host: NO\nport: NO\n", 'shifter.yaml:2:7 port: `port` must be a whole number, not "NO"'),
        ("- port\n", "shifter.yaml:1:1: settings are a mapping"),
        ("planning: {horizon_hours: 200}\n", "planning: horizon_hours 200 exceeds max_horizon_hours 168"),
        ("planning: {cycle_deadline_s: 3600}\n", "a cycle would still run when the next is due"),
        ("realtime: {path: a, profile: typical}\n", "shifter.yaml:1:11 realtime: has both path and profile"),
        (
            "realtime: {profile: typical, holidays: [2026-12-25]}\n",
            "shifter.yaml:1:11 realtime: has holidays without profile: measured",
        ),
        (
            (
                "realtime: {profile: measured, announced: [\n"
                "{name: a, start: 2026-01-02T00:00:00Z, end: 2026-01-02T00:00:00Z}]}\n"
            ),
            "realtime.announced[0]: ends no later than it starts",
        ),
        ("realtime: {profile: measured, holidays: [x]}\n", "realtime.holidays[0]"),
        ("realtime: {profile: tipical}\n", "must be one of typical"),
        ("clock: 2026-01-10\n", "shifter.yaml:1:8 clock: `2026-01-10` is not a clock"),
        ("clock: 2026-01-10T00:00:00Zx-3\n", "is not a clock"),
        ("log: {level: loud}\n", "must be one of debug, info, warning, error"),
        ("forecasts: {fx: {gbp: 1}}\n", "forecasts.fx.gbp"),
        (
            "forecasts: {sources: [{name: nseo}]}\n",
            "1:30 forecasts.sources[0].name: there is no forecast source `nseo`. Did you mean",
        ),
        ("forecasts: {sources: [{name: csv, signals: [prise]}]}\n", "Did you mean price?"),
        (
            "database: mysql://u:hunter2@h/n\n",
            "shifter.yaml:1:11 database: `database` is not written as it must be. URL of",
        ),
        (
            TWO_LINES.format("{name: typicl}"),
            "2:21 forecasts.sources[0].options.wholesale.name: there is no forecast source 'typicl'",
        ),
        (
            TWO_LINES.format("{name: typical, options: {sed: 3}}"),
            "2:45 forecasts.sources[0].options.wholesale.options.sed: extra inputs",
        ),
        (
            TWO_LINES.format("{name: typical, options: {sed: 3, errors: many}}"),
            "forecasts.sources[0].options.wholesale.options.errors: ",
        ),
        (
            "database: 'sqlite:///file:s.db?mode=ro&uri=true'\n",
            "give the path alone, as sqlite:///shifter.db",
        ),
        (
            "policy: {rules: [{name: a, when: {tenannt: {equals: x}}, then: deferrable}]}\n",
            "1:35 policy.rules[0].when.tenannt",
        ),
        ("policy: {rulse: []}\n", "shifter.yaml:1:"),
        ("policy: 3\n", "`policy` must be a mapping"),
        ("a: [", "this is not YAML"),
    ],
)
def test_each_mistake_of_a_file_has_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = refused(tmp_path, text)
    assert any(expected in m for m in found), found
    assert "hunter2" not in "".join(found)


def test_mistakes_of_all_layers_are_named_at_once(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        "host: 3\n",
        {"port": True, "colour": "red"},
        {"SHIFTER_PROT": "1", "SHIFTER_ADMISSION__WAIT_S": "soon", "SHIFTER_LOG": "["},
    )
    assert sorted(m.split(":")[0] for m in found) == [
        "--colour",
        "--port",
        "SHIFTER_ADMISSION__WAIT_S",
        "SHIFTER_LOG",
        "SHIFTER_PROT",
        "shifter.yaml",
    ]
    assert any("Did you mean `SHIFTER_PORT`?" in m for m in found)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    text = """
database: postgresql+psycopg://shifter:hunter2@db/shifter
forecasts: {sources: [{name: csv, options: {url: "https://me:hunter2@a/f.csv"}}]}
"""
    file = write(tmp_path, text)
    settings = load_settings(file, {}, {})
    assert "hunter2" in settings.database
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.forecasts.sources[0])
    shown = settings_provenance(file, {}, {})
    assert "hunter2" not in repr(shown)
    assert shown["database"].value == "postgresql+psycopg://shifter:***@db/shifter"
    keyed = {"sources": [{"name": "a", "options": {"api_key": "hunter2", "page": 1}}]}
    assert "hunter2" not in repr(Settings.model_validate({"forecasts": keyed}))
    assert "hunter2" not in "".join(
        refused(tmp_path, "forecasts: {sources: [{name: csv, options: {path: f, max_bytes: hunter2}}]}\n")
    )
    assert "hunter2" not in "".join(
        refused(tmp_path, "forecasts: {sources: [{name: 3, options: 'hunter2'}]}\n")
    )
    assert "hunter2" not in "".join(refused(tmp_path, "", {}, {"SHIFTER_DATABASE": "mysql://a:hunter2@b"}))


class TestGridEvents:
    DSO = "grid_events: {{openadr3: [{{name: dso, base_url: http://vtn, {}}}]}}\n"

    def test_a_key_s_file_is_relative_to_the_settings_and_not_shown(self, tmp_path: Path) -> None:
        text = self.DSO.format("site: fra, client_id: me, api_key_file: keys/dso")
        [vtn] = load_settings(write(tmp_path, text), {}, {}).grid_events.openadr3
        assert vtn.api_key_file == str(tmp_path / "keys/dso")
        assert (vtn.poll_s, vtn.site, vtn.targets) == (60.0, "fra", {})
        assert "keys/dso" not in repr(vtn)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("poll_s: 60", "limits no site"),
            ("site: fra, client_id: me, api_key_file: a, api_key_env: B", "keep one"),
            ("site: fra, api_key_env: B", "say whose secret it is"),
            ("site: fra, poll_s: 1", "poll_s"),
            ("site: fra, target: {a: b}", "targets"),
            ("site: fra, base_url: vtn", "base_url"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, given: str, said: str) -> None:
        [mistake] = refused(
            tmp_path,
            self.DSO.replace("base_url: http://vtn, ", "").format(
                given if "base_url" in given else f"base_url: http://vtn, {given}"
            ),
        )
        assert said in mistake

    @pytest.mark.parametrize("wrong", ["{openadr3: 7}", "{openadr3: [7]}", "[]", "{openadr3: [null]}"])
    def test_another_shape_is_refused(self, tmp_path: Path, wrong: str) -> None:
        assert refused(tmp_path, f"grid_events: {wrong}\n")


class TestLearning:
    """`forecasts.learning`, the rules by which outlooks are made."""

    def test_its_defaults_are_those_of_forecasts(self) -> None:
        assert Settings().forecasts.learning.rules == BY_DEFAULT

    def test_one_rule_may_differ(self, tmp_path: Path) -> None:
        file = write(tmp_path, "forecasts:\n  learning: {adapt_rate: 0.05, weigh_sources: false}\n")
        rules = load_settings(
            file, {}, {"SHIFTER_FORECASTS__LEARNING__PAST_DAYS": "30"}
        ).forecasts.learning.rules
        assert rules == Learning(adapt_rate=0.05, weigh_sources=False, past_days=30)

    def test_with_every_line_commented_out_the_defaults_hold(self, tmp_path: Path) -> None:
        file = write(tmp_path, "forecasts:\n  learning:\n    # adapt_rate: 0.05\n")
        assert load_settings(file, {}, {}).forecasts.learning.rules == BY_DEFAULT

    @pytest.mark.parametrize(
        "wrong", ["history_days: 6", "history_days: 401", "past_days: 9", "adapt_rate: 0.6"]
    )
    def test_what_could_not_be_learnt_by_is_refused(self, tmp_path: Path, wrong: str) -> None:
        [told] = refused(tmp_path, f"forecasts:\n  learning: {{{wrong}}}\n")
        assert re.match(
            rf"shifter.yaml:2:\d+ forecasts.learning.{wrong.partition(':')[0]}: .* must be at", told
        )

    def test_history_that_nobody_looks_at_is_refused_with_its_reason(self, tmp_path: Path) -> None:
        for section in ("learning", "candidate"):
            [told] = refused(tmp_path, f"forecasts:\n  {section}: {{history_days: 401}}\n")
            assert f"forecasts.{section}.history_days: `history_days` must be at most 400, not 401." in told
            assert "nothing older is looked at" in told


class TestCandidate:
    """`forecasts.candidate`, other rules on trial."""

    def test_there_is_none_unless_it_is_set(self, tmp_path: Path) -> None:
        assert Settings().forecasts.candidate_rules is None
        file = write(tmp_path, "forecasts:\n  candidate:\n    # adapt_rate: 0.05\n")
        assert load_settings(file, {}, {}).forecasts.candidate_rules is None

    def test_what_it_leaves_out_is_as_in_force(self, tmp_path: Path) -> None:
        file = write(
            tmp_path,
            "forecasts:\n  learning: {past_days: 45}\n  candidate: {adapt_rate: 0, past_days: null}\n",
        )
        found = load_settings(file, {}, {"SHIFTER_FORECASTS__CANDIDATE__WEIGH_SOURCES": "false"}).forecasts
        assert found.learning.rules == Learning(past_days=45)
        assert found.candidate_rules == Learning(past_days=45, adapt_rate=0, weigh_sources=False)

    @pytest.mark.parametrize("same", ["{}", "{past_days: 45}", "{weigh_sources: true, adapt_rate: 0.02}"])
    def test_one_that_tries_nothing_is_refused(self, tmp_path: Path, same: str) -> None:
        [told] = refused(tmp_path, f"forecasts:\n  learning: {{past_days: 45}}\n  candidate: {same}\n")
        assert "candidate differs in nothing from learning: change a field of it, or take it out" in told

    @pytest.mark.parametrize(
        "wrong", ["history_days: 6", "past_days: 9", "adapt_rate: 0.6", "weigh_sources: 1", "days: 3"]
    )
    def test_what_could_not_be_learnt_by_is_refused(self, tmp_path: Path, wrong: str) -> None:
        [told] = refused(tmp_path, f"forecasts:\n  candidate: {{{wrong}}}\n")
        assert f"forecasts.candidate.{wrong.partition(':')[0]}" in told
