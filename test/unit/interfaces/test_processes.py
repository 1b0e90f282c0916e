# SPDX-License-Identifier: Apache-2.0
import os

import numpy as np
from ocrrl_ros.interfaces.lockstep import DoneBoard
from ocrrl_ros.interfaces.monitor import LoopMonitor
from ocrrl_ros.interfaces.polling import PolledServices, PolledSubscription
from ocrrl_ros.interfaces.qos import RELIABLE
from ocrrl_ros.interfaces.realtime import DeadlineLoop
from ocrrl_ros.interfaces.shared_memory import StateReader, StateWriter
from ocrrl_ros.interfaces.spin import use_fastdds_profile
import pytest
import rclpy
import rclpy.executors
from std_msgs.msg import String
from std_srvs.srv import Trigger


@pytest.fixture
def shared():
    writer = StateWriter(3)
    reader = StateReader(writer.memory_fd, writer.wake_read_fd, 3)
    yield writer, reader
    os.close(writer.wake_read_fd)


def test_reader_gets_the_newest_snapshot_and_counts_the_skipped(shared):
    writer, reader = shared
    assert reader.wait(0.0) is None
    for value in (1.0, 2.0, 3.0):
        writer.write(np.full(3, value))
    np.testing.assert_array_equal(reader.wait(0.0), [3.0, 3.0, 3.0])
    assert reader.skipped == 2
    assert reader.wait(0.0) is None


def test_writer_sees_which_snapshot_is_dealt_with(shared):
    writer, reader = shared
    number = writer.write(np.zeros(3))
    assert writer.finished < number
    reader.wait(0.0)
    reader.finish()
    assert writer.finished == number


def test_result_waits_until_the_writer_releases_it(shared):
    writer, reader = shared
    number = writer.write(np.zeros(3))
    reader.wait(0.0)
    assert not reader.wait_released(0.0)
    writer.release(number)
    assert reader.wait_released(0.0)
    later = writer.write(np.ones(3))
    np.testing.assert_array_equal(reader.wait(0.0), 1.0)
    assert later == number + 1
    assert not reader.wait_released(0.0)


def test_reader_notices_that_the_writer_has_gone(shared):
    writer, reader = shared
    writer.close()
    with pytest.raises(EOFError):
        reader.wait(0.0)


def test_shared_memory_has_no_name_to_leave_behind(shared):
    assert not [name for name in os.listdir('/dev/shm') if 'ocrrl' in name]


def test_done_board_waits_for_every_participant_and_no_one_else():
    board = DoneBoard(['a', 'b'])
    assert board.missing(0.0) == ('a', 'b')
    assert board.report('a', 0.005)
    assert not board.report('stranger', 0.005)
    assert board.missing(0.005) == ('b',)
    board.report('b', 0.0049999999)
    assert board.missing(0.005) == ()
    assert board.missing(0.010) == ('a', 'b')


def test_monitor_warns_of_overruns_and_stale_inputs():
    monitor = LoopMonitor('arm', 0.001)
    for now_s in (0.0, 0.001, 0.002):
        monitor.tick(now_s)
    monitor.on_input('camera', 0.0, max_age_s=0.1)
    assert monitor.status(0.05).level == b'\x00'
    monitor.tick(0.02)
    status = monitor.status(0.5)
    values = {item.key: item.value for item in status.values}
    assert status.level == b'\x01'
    assert 'camera is 0.50 s old' in status.message
    assert values['overruns'] == '1'
    assert float(values['period_max_ms']) == pytest.approx(18.0)
    assert float(values['share_within_half_ms']) == pytest.approx(2 / 3, abs=1e-3)
    assert float(values['age_camera_ms']) == pytest.approx(500.0)


def test_what_is_read_for_a_report_is_read_anew_for_each():
    monitor, readings = LoopMonitor('arm', 0.001), iter((3.0, 4.0))
    monitor.set_source('peak', lambda: next(readings))
    assert [monitor.status(now_s).values[-1].value for now_s in (1.0, 2.0)] == ['3', '4']


def test_monitor_counts_no_pause_and_forgets_what_is_over():
    monitor = LoopMonitor('arm', 0.001)
    monitor.set_source('state', lambda: 'idle')
    monitor.set_value('rate', 30.0)
    monitor.set_problem('camera', 'frozen')
    monitor.on_input('camera', 0.0, max_age_s=0.1)
    for now_s in (0.0, 0.001):
        monitor.tick(now_s)
    monitor.pause()
    monitor.forget()
    for now_s in (60.0, 60.001):
        monitor.tick(now_s)
    status = monitor.status(60.0)
    values = {item.key: item.value for item in status.values}
    assert (status.level, status.message) == (b'\x00', 'running')
    assert (values['periods'], values['overruns'], values['state']) == ('2', '0', 'idle')
    assert not values.keys() & {'rate', 'age_camera_ms'}


@pytest.fixture
def now(monkeypatch):
    """Return the monotonic time in a list; who sleeps moves it on."""
    now = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    monkeypatch.setattr('time.sleep', lambda s: now.__setitem__(0, now[0] + s))
    return now


def test_deadline_loop_catches_up_short_delays_and_reports_long_ones(now):
    loop = DeadlineLoop(0.001, max_backlog_s=0.05)
    assert loop.wait() == pytest.approx(100.001)
    now[0] += 0.010
    for _ in range(10):
        assert loop.wait() == pytest.approx(100.011)
    assert loop.wait() == pytest.approx(100.012)
    assert loop.lost_s == 0.0
    now[0] += 1.0
    loop.wait()
    assert loop.lost_s == pytest.approx(0.999)
    assert loop.skipped == 0


def test_deadline_loop_that_skips_leaves_out_what_has_passed_and_keeps_its_grid(now):
    loop = DeadlineLoop(0.001, max_backlog_s=0.05, skips=True)
    assert loop.wait() == pytest.approx(100.001)
    now[0] += 0.0015
    assert loop.wait() == pytest.approx(100.0025)
    assert loop.skipped == 0
    assert loop.wait() == pytest.approx(100.003)
    now[0] += 0.0104
    assert loop.wait() == pytest.approx(100.0134)
    assert loop.skipped == 9
    assert loop.wait() == pytest.approx(100.014)
    assert loop.lost_s == 0.0
    now[0] += 1.0
    loop.wait()
    assert loop.lost_s == pytest.approx(0.999)
    assert loop.skipped == 9


def test_profile_and_rmw_of_the_operator_are_respected(monkeypatch):
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)
    for name in ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')
    assert use_fastdds_profile() == ''
    monkeypatch.delenv('RMW_IMPLEMENTATION')
    assert use_fastdds_profile().endswith('/fastdds.xml')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '/their/profile.xml')
    assert use_fastdds_profile() == '/their/profile.xml'


def test_polled_messages_wait_for_the_loop_and_no_executor_takes_them(ros_context):
    node = rclpy.create_node('polling_test', context=ros_context)
    polled = PolledSubscription(node, String, 'polled', RELIABLE)
    heard = []
    node.create_subscription(String, 'polled', lambda m: heard.append(m.data), RELIABLE)
    publisher = node.create_publisher(String, 'polled', RELIABLE)
    executor = rclpy.executors.SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    for text in ('a', 'b', 'c'):
        publisher.publish(String(data=text))
    for _ in range(50):
        executor.spin_once(timeout_sec=0.1)
        if len(heard) == 3:
            break
    assert heard == ['a', 'b', 'c']
    assert polled.publisher_count() == 1
    assert polled.take().data == 'a'
    assert polled.take_newest().data == 'c'
    assert polled.take() is None
    executor.shutdown()
    node.destroy_node()


def test_polled_services_answer_requests_and_parameters(ros_context):
    node = rclpy.create_node('serving_test', context=ros_context)
    node.create_service(Trigger, 'serve', lambda _, response: respond(response))
    services = PolledServices(node)
    executor = rclpy.executors.SingleThreadedExecutor(context=ros_context)
    asker = rclpy.create_node('asking_test', context=ros_context)
    client = asker.create_client(Trigger, 'serve')
    executor.add_node(asker)
    assert client.wait_for_service(timeout_sec=5.0)
    future = client.call_async(Trigger.Request())
    for _ in range(200):
        services.serve_all()
        executor.spin_once(timeout_sec=0.01)
        if future.done():
            break
    assert future.result().message == 'served'
    executor.shutdown()
    asker.destroy_node()
    node.destroy_node()


def respond(response):
    response.message = 'served'
    return response
