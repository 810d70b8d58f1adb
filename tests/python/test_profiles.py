"""Cost profiles: the numbers that come with virqsim, and what a profile may not do."""

import pytest
from virqsim import VirqsimError, library, profiles

GOOD = {"value": "5", "low": "1", "high": "9", "kind": '"assumed"', "source": '"a guess: it is a test"'}


def written(tmp_path, changes=None, head='inherits = "unit"', key="hw.exit"):
    """A profile that gives one cost, with some of its fields changed; None leaves one out."""
    fields = {name: text for name, text in {**GOOD, **(changes or {})}.items() if text is not None}
    path = tmp_path / "mine.toml"
    path.write_text(f'{head}\n[costs."{key}"]\n' + "".join(f"{name} = {text}\n" for name, text in fields.items()))
    return str(path)


@pytest.mark.parametrize("name", profiles.available())
def test_a_profile_has_every_key_with_a_source(name):
    profile = profiles.load(name)
    assert list(profile.costs) and set(profile.costs) == set(library.names("costs"))
    for number in [*profile.costs.values(), *profile.clock.values()]:
        assert number.low <= number.value <= number.high
        assert number.source


# Commit b7ffc44d5b2e, kvm-unit-tests vmexit, in cycles.
@pytest.mark.parametrize(("test", "cycles", "keys"), [
    ("vmcall", 1181, ["kvm.hypercall"]),
    ("cpuid", 1291, ["kvm.cpuid"]),
    ("outl_to_kernel", 1391, ["kvm.pio_out"]),
    ("inl_from_kernel", 2339, ["kvm.pio_in"]),
    ("inl_from_qemu", 6209, ["kvm.pio_in", "user.exit", "user.device", "user.entry"]),
])
def test_skylake_sp_sums_to_the_published_round_trips(test, cycles, keys):
    cost = profiles.load("skylake-sp").cycles
    assert sum(cost[key] for key in ["hw.exit", "kvm.exit", "kvm.entry", "hw.entry", *keys]) == cycles


def test_cr8_without_an_exit_is_the_published_16_cycles_to_it_and_11_from_it():
    cycles = profiles.load("skylake-sp").cycles
    assert (cycles["guest.cr8"], cycles["guest.cr8_read"]) == (16, 11)


# Agesen et al., USENIX ATC 2012, table 1; for Zen 2 M. Roth, LKML, December 2020, from VMRUN to after the exit.
@pytest.mark.parametrize(("name", "cycles"), [("nehalem", 1009), ("westmere", 761), ("sandy-bridge", 784), ("zen2", 1360)])
def test_a_profile_has_its_published_hardware_round_trip(name, cycles):
    cost = profiles.load(name).cycles
    assert cost["hw.exit"] + cost["hw.entry"] == cycles


def test_zen2_sums_to_the_published_ways_between_userspace_and_the_guest():
    cost = profiles.load("zen2").cycles
    assert (cost["user.entry"] + cost["kvm.entry"], cost["kvm.exit"] + cost["user.exit"]) == (576, 576)


def test_the_profiles_of_the_manual_are_there():
    assert set(profiles.available()) >= {"nehalem", "westmere", "sandy-bridge", "haswell", "skylake-sp", "ice-lake-sp",
                                         "sapphire-rapids", "zen2", "zen3", "zen4"}


def test_the_unit_profile_is_one_cycle_of_a_nanosecond_for_everything():
    profile = profiles.load("unit")
    assert set(profile.cycles.values()) == {1}
    assert profile.clocks["core_hz"] == 10**9


def test_a_file_of_the_user_is_read_by_its_path(tmp_path):
    profile = profiles.load(written(tmp_path))
    assert profile.name == "mine"
    assert profile.cycles["hw.exit"] == 5
    assert profile.cycles["hw.entry"] == 1


def test_what_is_inherited_is_assumed_whatever_it_was(tmp_path):
    profile = profiles.load(written(tmp_path, head='inherits = "skylake-sp"'))
    assert profile.costs["guest.cr8"].kind == "assumed"
    assert profile.costs["guest.cr8"].source.startswith("as in skylake-sp: ")


def test_a_profile_is_as_weak_as_its_weakest_number(tmp_path):
    assert profiles.load(written(tmp_path, {"kind": '"measured"'})).kind == "assumed"


@pytest.mark.parametrize(("changes", "line"), [
    ({"source": '""'}, 'profile mine: costs."hw.exit".source: is empty; name where the number is from, '
                       'or kind = "assumed" with a reason'),
    ({"source": '"  "'}, 'profile mine: costs."hw.exit".source: is empty'),
    ({"source": None}, 'profile mine: costs."hw.exit".source: is missing'),
    ({"kind": '"guessed"'}, "profile mine: costs.\"hw.exit\".kind: 'guessed' is unknown"),
    ({"value": "1.5"}, 'profile mine: costs."hw.exit".value: 1.5 is not a whole number'),
    ({"value": "true"}, 'profile mine: costs."hw.exit".value: True is not a whole number'),
    ({"low": "-1"}, 'profile mine: costs."hw.exit".low: -1 is not a whole number'),
    ({"value": "10"}, 'profile mine: costs."hw.exit".value: 10 is outside of low..high (1..9)'),
    ({"colour": '"red"'}, "profile mine: costs.\"hw.exit\": 'colour' is unknown"),
])
def test_a_wrong_number_is_named_in_one_line(tmp_path, changes, line):
    with pytest.raises(VirqsimError) as refused:
        profiles.load(written(tmp_path, changes))
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_an_unknown_cost_key_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(VirqsimError, match=r"^profile mine: costs: 'hw.exut' is unknown; did you mean hw.exit\?"):
        profiles.load(written(tmp_path, key="hw.exut"))


def test_a_missing_key_is_refused_where_nothing_is_inherited(tmp_path):
    with pytest.raises(VirqsimError, match=r'^profile mine: clock."core_hz": is missing$'):
        profiles.load(written(tmp_path, head=""))


def test_a_circle_of_inheritance_is_refused(tmp_path):
    with pytest.raises(VirqsimError, match=r"^profile mine: inherits: mine from mine is a circle$"):
        profiles.load(written(tmp_path, head='inherits = "mine"'))


def test_a_parent_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(VirqsimError, match=r"^profile mine: inherits: 'nobody' is unknown"):
        profiles.load(written(tmp_path, head='inherits = "nobody"'))


def test_what_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("costs = [")
    with pytest.raises(VirqsimError, match=r"mine.toml: is not TOML: "):
        profiles.load(str(path))


@pytest.mark.parametrize(("name", "line"), [
    ("skylake", "profile: 'skylake' is unknown; did you mean skylake-sp?"),
    ("nowhere/mine.toml", "profile nowhere/mine.toml: No such file or directory"),
])
def test_a_profile_that_is_not_there_is_refused(name, line):
    with pytest.raises(VirqsimError) as refused:
        profiles.load(name)
    assert str(refused.value).startswith(line)
