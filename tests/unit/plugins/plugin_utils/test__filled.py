# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.blumeops.zot.plugins.plugin_utils._filled import Filled


class Counting:
    """Ansible's own, and what it was given to fill in."""

    def __init__(self, templar):
        self.templar, self.given = templar, []

    def copy_with_new_env(self, available_variables):
        self.templar = self.templar.copy_with_new_env(available_variables=available_variables)
        return self

    def template(self, variable):
        self.given.append(variable)
        return self.templar.template(variable)


@pytest.fixture
def fill():
    """Fills in with these variables, whose texts are as in an inventory; ``fill.given`` is what Ansible was asked."""

    def run(value, **variables):
        counting = Counting(Templar(DataLoader()))
        filled = Filled(counting, {name: trusted(each) for name, each in variables.items()}, "__own_")(trusted(value))
        run.given = counting.given
        return filled

    return run


def trusted(value):
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("{{ port }}", 5000),
        ("{{port}}", 5000),
        ("{{ port + 1 }}", 5001),
        ("at {{ port }}", "at 5000"),
        ("{{ __own_url }}/v2", "http://127.0.0.1:5000/v2"),
        ({"a": ["{{ __own_url }}", 1, None, True]}, {"a": ["http://127.0.0.1:5000", 1, None, True]}),
        ("{{ tree }}", {"leaf": [5000]}),
        ("{{ tree.leaf }}", [5000]),
        ("{% if port %}yes{% endif %}", "yes"),
        ("#jinja2: variable_start_string:'[%', variable_end_string:'%]'\n[% port %]", 5000),
        ("plain", "plain"),
        ("", ""),
        (None, None),
    ],
)
def test_it_comes_to_what_ansible_makes_of_it(fill, value, filled):
    variables = {"port": 5000, "__own_url": "http://{{ address }}:{{ port }}", "address": "127.0.0.1", "tree": {"leaf": ["{{ port }}"]}}
    assert fill(value, **variables) == filled
    whole = Templar(DataLoader(), variables={name: trusted(each) for name, each in variables.items()}).template(trusted(value))
    assert filled == whole


def test_each_variable_is_filled_in_once_whoever_names_it(fill):
    home = "{{ user ~ '/home' }}"
    value = {"a": "{{ __own_home }}/a", "b": "{{ __own_home }}/b", "c": "{{ __own_home }}"}
    assert fill(value, __own_home=home, user="me") == {"a": "me/home/a", "b": "me/home/b", "c": "me/home"}
    assert fill.given == [home, "{{ __own_home }}/a", "{{ __own_home }}/b"]


def test_who_names_a_variable_alone_needs_no_template(fill):
    assert fill(["{{ a }}", "{{ b }}", "x"], a="{{ b }}", b="x") == ["x", "x", "x"]
    assert fill.given == []


def test_what_a_host_says_is_no_template():
    said = "{{ secret }}"
    filled = Filled(Templar(DataLoader()), {"secret": "made-up", "fact": said}, "__own_")
    assert filled(said) == said
    assert filled(trust_as_template("{{ fact }}")) == said
    assert filled(trust_as_template("{{ fact ~ '!' }}")) == "{{ secret }}!"


@pytest.mark.parametrize("value", ["{{ missing }}", "{{ __own_missing ~ 1 }}", "{{ __own_a }}", "{{ loop }}"])
def test_what_leads_nowhere_is_for_ansible_to_complain_of(fill, value):
    with pytest.raises(AnsibleError):
        fill(value, __own_a="{{ __own_b ~ 1 }}", __own_b="{{ __own_a }}", loop="{{ loop }}")


def test_the_variables_that_were_given_stay_as_they_are():
    variables = {"__own_a": trust_as_template("{{ 1 + 1 }}")}
    assert Filled(Templar(DataLoader()), variables, "__own_")(trust_as_template("{{ __own_a }}")) == 2
    assert variables == {"__own_a": "{{ 1 + 1 }}"}
