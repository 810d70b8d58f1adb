"""Features as the command line has them."""

import pytest
from virqsim import VirqsimError, features, library


def test_signs_switch_on_and_off():
    assert features.parse("+pv-eoi,-fastpath") == {"pv-eoi": True, "fastpath": False}
    assert features.parse("") == {}


def test_a_feature_takes_those_with_it_that_need_it():
    off = features.parse("-virtual-interrupt-delivery")
    assert off == {"virtual-interrupt-delivery": False, "posted-interrupts": False, "ipi-virtualization": False,
                   "vtd-posting": False, "timer-posting": False, "apic-timer-virtualization": False,
                   "ipi-passthrough": False}
    assert features.parse("-avic")["timer-posting"] is False


def test_what_is_switched_on_by_name_stays_on_for_the_plan_to_refuse():
    assert features.parse("-posted-interrupts,+ipi-virtualization")["ipi-virtualization"] is True


@pytest.mark.parametrize(("text", "line"), [
    ("pv-eoi", "features: 'pv-eoi': write +pv-eoi or -pv-eoi"),
    ("+pv-eio", "features: 'pv-eio' is unknown; did you mean pv-eoi?"),
])
def test_a_word_that_is_no_feature_is_refused(text, line):
    with pytest.raises(VirqsimError) as refused:
        features.parse(text)
    assert str(refused.value).startswith(line)


def test_each_feature_says_who_must_be_able_to_do_it():
    by = {row["name"]: row["by"] for row in library.describe()["features"]}
    assert (by["posted-interrupts"], by["hlt-in-guest"], by["pv-eoi"]) == ("hardware", "hypervisor", "guest")
