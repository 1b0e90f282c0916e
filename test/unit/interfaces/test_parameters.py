# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.interfaces.parameters import declare_config, follow_changes, read_config
import pytest
import rclpy
from rclpy.parameter import Parameter


@dataclass(frozen=True, kw_only=True)
class Inner:
    gains: tuple[float, ...] = (1.0, 2.0)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    rate_hz: float = field(default=200.0, metadata={'description': 'command rate, Hz'})
    task: str = 'cube_lift'
    enabled: bool = True
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if not 0 < self.rate_hz <= 1000:
            raise ConfigError(f'rate_hz is {self.rate_hz} Hz; allowed: 0 < rate_hz <= 1000')


@pytest.fixture
def make_node(ros_context):
    nodes = []

    def make(**overrides):
        parameters = [Parameter(name.replace('__', '.'), value=value)
                      for name, value in overrides.items()]
        node = rclpy.create_node(
            'settings_test', context=ros_context, parameter_overrides=parameters)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def test_defaults_of_the_dataclass_are_the_parameters(make_node):
    node = make_node()
    assert declare_config(node, Settings) == Settings()
    assert node.get_parameter('inner.gains').value == [1.0, 2.0]


def test_description_names_the_type_and_the_meaning(make_node):
    node = make_node()
    declare_config(node, Settings)
    described = node.describe_parameter('rate_hz')
    assert described.description == 'command rate, Hz (float)'
    assert described.read_only


def test_overrides_reach_nested_fields_and_integers_become_floats(make_node):
    node = make_node(rate_hz=100, inner__gains=[3, 4, 5], inner__names=['a'], limit=7)
    config = declare_config(node, Settings)
    assert config.rate_hz == 100.0
    assert config.inner == Inner(gains=(3.0, 4.0, 5.0), names=('a',))
    assert config.limit == 7


def test_value_out_of_range_names_value_range_and_node(make_node):
    with pytest.raises(ConfigError, match=r'settings_test.*rate_hz is -1.0 Hz; allowed'):
        declare_config(make_node(rate_hz=-1.0), Settings)


def test_wrong_type_names_the_parameter(make_node):
    with pytest.raises(ConfigError, match='rate_hz is .fast.'):
        declare_config(make_node(rate_hz='fast'), Settings)


def test_unknown_override_is_an_error_that_lists_the_known_ones(make_node):
    with pytest.raises(UnknownNameError, match='rate_hzz.*inner.gains'):
        declare_config(make_node(rate_hzz=3.0), Settings)


def test_live_parameters_are_read_and_checked_when_they_are_used(make_node):
    node = make_node()
    declare_config(node, Settings, read_only=False)
    node.set_parameters([Parameter('rate_hz', value=50)])
    assert read_config(node, Settings).rate_hz == 50.0
    node.set_parameters([Parameter('rate_hz', value=5000)])
    with pytest.raises(ConfigError, match='rate_hz is 5000.0 Hz'):
        read_config(node, Settings)


@pytest.fixture
def followed(make_node):
    node, heard = make_node(), []
    declare_config(node, Settings, live=('rate_hz', 'inner.gains'))
    follow_changes(node, Settings, heard.append)
    return node, heard


def test_live_parameters_are_handed_over_when_they_are_set(followed):
    node, heard = followed
    results = node.set_parameters(
        [Parameter('rate_hz', value=50), Parameter('inner.gains', value=[3.0])])
    assert all(result.successful for result in results)
    assert heard[-1] == Settings(rate_hz=50.0, inner=Inner(gains=(3.0,)))


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('rate_hz', 5000.0, 'rate_hz is 5000.0 Hz; allowed'), ('rate_hz', 'fast', "rate_hz is 'fast'"),
    ('rate_hz', None, 'rate_hz cannot be removed'), ('task', 'stack_cube', 'read-only')])
def test_refused_change_says_why_and_changes_nothing(followed, name, value, words):
    node, heard = followed
    result, = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful and words in result.reason
    assert not heard and read_config(node, Settings) == Settings()
