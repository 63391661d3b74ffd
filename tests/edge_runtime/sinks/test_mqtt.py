"""MQTT with a real broker: absent, restarted, killed from, secret, and never in the loop's way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.brokers import Broker, Listener, free_port, retained, wait_until
from edge_runtime.drawn import INT8, LABELS, scene
from edge_runtime.framing import a_frame, a_reading
from edge_runtime.streaming import Camera
from emo_edge.errors import UsageError
from emo_edge.health import Health
from emo_edge.sinks.mqtt.address import parse_address
from emo_edge.sinks.mqtt.connection import BUFFER
from emo_edge.sinks.mqtt.digest import Digest
from emo_edge.sinks.mqtt.homeassistant import discovery
from emo_edge.sinks.mqtt.sink import Mqtt
from running import command_line

AVAILABILITY, STATE, HEALTH = (f"home/hall/{name}" for name in ("availability", "state", "health"))
LABELS_HERE = ("happy", "sad")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def sink_for(url: str, health: Health) -> Mqtt:
    return Mqtt(parse_address(url), "hall camera", LABELS_HERE, health)


# What is worth a message -------------------------------------------------------------------------


def test_a_message_is_due_at_a_change_and_then_every_five_seconds() -> None:
    digest, told = Digest(), []
    for number in range(200):  # 20 s at 10 frames a second
        at = number / 10
        label = "happy" if at < 12 else "sad"
        readings = [a_reading(label, at=at)] if 2 <= at < 15 else []
        if (state := digest(a_frame(number, at), readings)) is not None:
            told.append((at, state["label"], state["faces"]))
    assert told == [
        (0.0, "nobody", 0),
        (2.0, "happy", 1),
        (7.0, "happy", 1),
        (12.0, "sad", 1),
        (16.0, "nobody", 0),
    ]


def test_a_flickering_label_is_told_twice_a_second_at_most() -> None:
    digest = Digest()
    told = [
        state["label"]
        for n in range(100)
        if (
            state := digest(a_frame(n, n / 10), [a_reading("happy" if n % 2 else "sad", at=n / 10)])
        )
    ]
    assert 15 <= len(told) <= 21


def test_the_nearest_face_stands_for_all() -> None:
    far, near = a_reading("sad", track=1), a_reading("happy", track=2)
    near = near.__class__(**{**vars(near), "box": near.box._replace(w=90.0)})
    state = Digest()(a_frame(), [far, near])
    assert state is not None
    assert (state["label"], state["confidence"], state["faces"]) == ("happy", 0.8124, 2)
    assert [set(reading) for reading in state["readings"]] == [
        {"track", "label", "confidence", "probabilities", "box", "age"}
    ] * 2


def test_a_lost_camera_shows_nobody_once() -> None:
    digest = Digest()
    digest(a_frame(), [a_reading()])
    state = digest.nobody()
    assert state is not None
    assert (state["label"], state["faces"], state["readings"]) == ("nobody", 0, [])
    assert digest.nobody() is None


# Addresses ---------------------------------------------------------------------------------------


def test_an_address_is_taken_from_one_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = parse_address("mqtt://me:p%40ss@broker.lan:1884/home/hall/")
    assert (full.host, full.port, full.tls, full.topic) == ("broker.lan", 1884, False, "home/hall")
    assert (full.user, full.password) == ("me", "p@ss")
    assert "p@ss" not in f"{full!r} {full}"
    plain = parse_address("mqtts://broker.lan")
    assert (plain.port, plain.tls, plain.password) == (8883, True, None)
    assert plain.topic.startswith("emo-edge/")
    monkeypatch.setenv("EMO_MQTT_PASSWORD", "of the environment")
    assert parse_address("mqtt://me@b").password == "of the environment"
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbfof the file\r\n")  # as Windows writes it
    assert parse_address("mqtt://me@b", tmp_path / "secret").password == "of the file"


@pytest.mark.parametrize(
    "url",
    ["broker", "http://u:secret@b", "mqtt://", "mqtt://u:secret@b:x", "mqtt://b/#", "mqtt://b/a?b",
     "mqtt://:secret@b", "mqtt://u:secret@b/a%00b", "mqtt://[b", "mqtt://broker..lan/secret",
     f"mqtt://{'b' * 64}/t", "mqtt://b\udcff/t", "mqtt://b/\udcff", "mqtt://\udcff@b",
     "mqtt://u:secret\udcff@b"],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match=r"mqtt|MQTT") as refused:
        parse_address(url)
    assert "secret" not in str(refused.value)


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mqtt-password-file"):
        parse_address("mqtt://u@b", tmp_path / "gone")
    with pytest.raises(UsageError, match="mqtt-ca"):
        parse_address("mqtts://u@b", None, tmp_path / "gone")
    with pytest.raises(UsageError, match="mqtts"):
        parse_address("mqtt://u@b", None, tmp_path)
    (tmp_path / "no.pem").write_text("no certificate")
    address = parse_address("mqtts://b", None, tmp_path / "no.pem")
    with pytest.raises(UsageError, match="cannot use --mqtt-ca"):
        Mqtt(address, "x", LABELS_HERE, Health())


# Home Assistant ----------------------------------------------------------------------------------


def test_every_entity_is_described_and_keeps_its_name() -> None:
    first, again = (discovery("home/hall", source, LABELS) for source in ("0", "/dev/video2"))
    assert list(first) == list(again)
    names = {topic.split("/")[3] for topic in first}
    assert names == {"expression", "confidence", "faces", "camera"}
    for topic, entity in first.items():
        node = topic.split("/")[2]
        assert entity["unique_id"] == again[topic]["unique_id"] == f"{node}_{topic.split('/')[3]}"
        assert entity["availability_topic"] == AVAILABILITY
        assert entity["device"]["identifiers"] == [node]
    (expression,) = (entity for topic, entity in first.items() if "/expression/" in topic)
    assert expression["options"] == [*LABELS, "uncertain", "nobody"]
    assert set(first).isdisjoint(discovery("home_hall", "0", LABELS))


# A broker ----------------------------------------------------------------------------------------


def test_a_newcomer_is_told_everything_and_the_end_is_said(broker: Broker) -> None:
    health = Health()
    health.source.turn("delivering")
    with closing(sink_for(broker.url, health)) as sink:
        sink(a_frame(at=0.0), [a_reading()])
        announced = list(discovery("home/hall", "hall camera", LABELS_HERE))
        kept = retained(broker, [AVAILABILITY, STATE, HEALTH, *announced])
        assert kept[AVAILABILITY] == "online"
        assert json.loads(kept[STATE])["label"] == "happy"
        assert json.loads(kept[HEALTH])["camera"] == "delivering"
        assert json.loads(kept[announced[0]])["state_topic"] == STATE
        wait_until(lambda: health.sinks["mqtt"].written >= 2, "nothing was acknowledged")
    kept = retained(broker, [AVAILABILITY, STATE])
    assert (kept[AVAILABILITY], json.loads(kept[STATE])["label"]) == ("offline", "nobody")
    assert health.sinks["mqtt"].dropped == 0


def test_a_name_that_is_no_utf_8_is_told_escaped(broker: Broker) -> None:
    with closing(sink_for(broker.url, Health())) as sink, Listener(broker) as listener:
        sink(a_frame(at=0.0, name="\udcff.png"), [a_reading()])
        wait_until(lambda: bool(listener.states()), "the thread has ended")
        sink(a_frame(at=1.0, name="b.png"), [a_reading("sad", at=1.0)])
        wait_until(lambda: len(listener.states()) == 2, "the thread has ended")
        assert [state["source"] for state in listener.states()] == ["\udcff.png", "b.png"]


def test_a_lost_camera_is_told(broker: Broker) -> None:
    health = Health()
    health.source.turn("delivering")
    with closing(sink_for(broker.url, health)) as sink, Listener(broker) as listener:
        sink(a_frame(at=0.0), [a_reading()])
        wait_until(lambda: bool(listener.states()), "no state")
        health.source.turn("lost", "unplugged")
        wait_until(lambda: listener.states()[-1]["label"] == "nobody", "the face stays")
        wait_until(
            lambda: json.loads(listener.texts(HEALTH)[-1])["camera"] == "lost", "the camera stays"
        )


def test_an_absent_broker_costs_the_oldest_messages_and_no_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.sinks.mqtt.connection.LONGEST_WAIT", 1)
    broker, health = Broker(tmp_path), Health()
    sink = sink_for(broker.url, health)
    began = time.monotonic()
    for number in range(BUFFER + 50):
        at = float(number)
        sink(a_frame(number, at), [a_reading("happy" if number % 2 else "sad", at=at)])
    assert time.monotonic() - began < 2
    wait_until(lambda: health.sinks["mqtt"].state == "failing", "nobody noticed")
    assert "refused" in health.sinks["mqtt"].error
    assert 50 <= health.sinks["mqtt"].dropped <= 60
    with broker, Listener(broker) as listener:
        wait_until(lambda: health.sinks["mqtt"].state == "ok", "it does not come back")
        wait_until(lambda: len(listener.states()) >= BUFFER - 5, "what waited did not come")
        assert listener.states()[-1]["label"] == "happy"
        sink.close()
        listener.wait_for(AVAILABILITY, "online", "offline")
    said = capsys.readouterr().err
    assert said.count("output mqtt is failing") == 1
    assert "output mqtt works again" in said


def test_a_broker_that_is_never_there_is_given_up_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    health = Health()
    sink = sink_for(f"mqtt://127.0.0.1:{free_port()}/x", health)
    sink(a_frame(), [a_reading()])
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 5
    assert health.sinks["mqtt"].dropped == 3  # how it fares, the face, and that it is gone
    assert capsys.readouterr().err.count("is failing") == 1


def test_a_broker_that_is_restarted_is_told_everything_again(broker: Broker) -> None:
    health = Health()
    with closing(sink_for(broker.url, health)) as sink:
        sink(a_frame(at=0.0), [a_reading("happy", at=0.0)])
        retained(broker, [STATE])
        broker.stop()
        wait_until(lambda: health.sinks["mqtt"].state == "failing", "nobody noticed")
        sink(a_frame(at=1.0), [a_reading("sad", at=1.0)])
        broker.start()  # with nothing in its memory
        announced = list(discovery("home/hall", "hall camera", LABELS_HERE))
        kept = retained(broker, [AVAILABILITY, STATE, *announced])
        assert (kept[AVAILABILITY], json.loads(kept[STATE])["label"]) == ("online", "sad")
    assert health.sinks["mqtt"].dropped == 0


def test_a_password_opens_and_a_wrong_one_is_named_but_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, kept = shutil.which("mosquitto_passwd"), tmp_path / "passwords"
    if tool is None:
        pytest.skip("no mosquitto_passwd: apt-get install mosquitto")
    subprocess.run([tool, "-b", "-c", kept, "me", "right"], check=True)
    with Broker(tmp_path, "allow_anonymous false", f"password_file {kept}") as strict:
        monkeypatch.setenv("EMO_MQTT_PASSWORD", "right")
        health = Health()
        with closing(sink_for(f"mqtt://me@{strict.place}", health)):
            wait_until(lambda: health.sinks["mqtt"].written > 0, "it was not let in")
        health = Health()
        with closing(sink_for(f"mqtt://me:hidden@{strict.place}", health)):
            wait_until(lambda: health.sinks["mqtt"].state == "failing", "nobody noticed")
    said = capsys.readouterr().err
    assert "Not authorized" in said
    assert "hidden" not in said + json.dumps(health.snapshot())


def test_a_certificate_is_checked(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    name = ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "9"]
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem]
    subprocess.run([*make, *name], check=True, capture_output=True)
    settings = (f"certfile {pem}", f"keyfile {key}", "allow_anonymous true")
    with Broker(tmp_path, *settings) as secure:
        health = Health()
        trusting = parse_address(f"mqtts://{secure.place}", None, pem)
        with closing(Mqtt(trusting, "x", LABELS_HERE, health)):
            wait_until(lambda: health.sinks["mqtt"].written > 0, "it was not let in")
        health = Health()
        with closing(sink_for(f"mqtts://{secure.place}", health)):
            wait_until(lambda: health.sinks["mqtt"].state == "failing", "it trusts everyone")
        assert "certificate verify failed" in health.sinks["mqtt"].error


# The command -------------------------------------------------------------------------------------


def test_a_killed_run_is_offline_by_its_will(broker: Broker) -> None:
    with Camera(scene("happy")[0]) as camera, Listener(broker) as listener:
        options = ("--model", INT8, "--source", camera.url, "--mqtt", broker.url)
        command = command_line("emo-edge", *options)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
            wait_until(
                lambda: any(state["label"] == "happy" for state in listener.states()), "no state"
            )
            os.kill(child.pid, signal.SIGKILL)
        listener.wait_for(AVAILABILITY, "online", "offline")
    assert retained(broker, [AVAILABILITY])[AVAILABILITY] == "offline"


def test_a_short_run_delivers_all_before_it_ends(broker: Broker, video: Path) -> None:
    options = ("--model", INT8, "--source", video, "--mqtt", broker.url)
    with Listener(broker) as listener:
        command = command_line("emo-edge", *options)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        listener.wait_for(AVAILABILITY, "online", "offline")
        labels = [state["label"] for state in listener.states()]
    assert [label for label in labels if label in LABELS] == ["neutral", "happy", "surprised"]
