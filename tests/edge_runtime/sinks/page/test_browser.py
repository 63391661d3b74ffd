"""The page in a real browser, in front of a real `emo-edge` with a camera on loopback."""

from __future__ import annotations

import base64
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from selenium import webdriver

from edge_runtime.browsing import CHROMIUM, DRIVER, MISSING, browser, complaints, resize
from edge_runtime.drawn import INT8, LABELS, save, scene
from edge_runtime.streaming import Camera
from edge_runtime.visiting import Visited, reading
from emo_edge.contract import Image
from emo_edge.sinks.page.site import MAX_VIEWERS
from running import command_line, wait_until

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)

TOKEN = "only-for-this-test"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def tab(driver: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A window in which nothing went wrong; leaves the page, so that nobody watches it."""
    resize(driver, 1280, 900)
    driver.delete_all_cookies()
    complaints(driver)
    yield driver
    assert complaints(driver) == []
    driver.get("about:blank")


@contextmanager
def emo_edge(source: str, *options: str) -> Iterator[str]:
    """Run the command; gives the address that it prints."""
    words = command_line("emo-edge", "--model", INT8, "--detector", "haar", "--source", source)
    process = subprocess.Popen(
        [*words, "--serve", "0", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        said = []
        while not (found := re.match(r"page: (\S+)", line := process.stderr.readline())):
            assert line, said
            said.append(line)
        # It must not wait for somebody to read what else it says.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[1]
    finally:
        process.terminate()
        assert process.wait(30) == 0


def run(driver: webdriver.Chrome, script: str) -> Any:
    return driver.execute_script(f"return {script}")


def state(driver: webdriver.Chrome) -> str:
    return str(run(driver, "document.body.dataset.state"))


def text(driver: webdriver.Chrome, selector: str) -> str:
    return str(run(driver, f"document.querySelector('{selector}').innerText"))


def pixels(driver: webdriver.Chrome, canvas: str) -> Image:
    """Return what a canvas shows, uint8[H,W,4] BGRA."""
    url = str(run(driver, f"document.getElementById('{canvas}').toDataURL('image/png')"))
    png = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), np.uint8)


# A run ------------------------------------------------------------------------------------------


def test_a_run_is_seen_and_what_goes_is_missed(tab: webdriver.Chrome) -> None:
    two, others = scene("happy", "surprised")[0], scene("surprised", "happy")[0]
    with ExitStack() as running:
        with Camera(two) as camera:
            url = running.enter_context(emo_edge(camera.url))
            tab.get(url)
            wait_until(lambda: state(tab) == "live" and len(cards(tab)) == 2)
            assert sorted(label for label, _ in cards(tab)) == ["happy", "surprised"]
            first = pixels(tab, "picture")
            assert abs(int(first[5, 5, 0]) - 120) < 10  # the grey behind the faces
            camera.picture = others
            wait_until(lambda: np.abs(pixels(tab, "picture").astype(int) - first).max() > 80)
            assert text(tab, "#fps").endswith(" fps") and text(tab, "#model") == "drawn-int8"
            assert "not what a person feels" in text(tab, "footer")
        wait_until(lambda: state(tab) == "lost")
        assert text(tab, "#state-text") == "Camera lost"
        assert "Camera lost" in text(tab, "#veil") and "Camera lost" in tab.title
        wait_until(lambda: cards(tab) == [])
        with Camera(two, port=camera.server_port):
            wait_until(lambda: state(tab) == "live" and len(cards(tab)) == 2)
            assert tab.title == "emo-edge"
    # Now the device is off, which the page is told by nobody.
    wait_until(lambda: state(tab) == "offline")
    assert "No connection" in text(tab, "#veil")


def cards(driver: webdriver.Chrome) -> list[tuple[str, str]]:
    """Return (label, confidence) of each face."""
    found = run(
        driver,
        """[...document.querySelectorAll('#faces .face:not(.gone)')].map(
          (card) => [card.querySelector('b').innerText, card.querySelector('small').innerText])""",
    )
    return [(label, confidence) for label, confidence in found]


# What is drawn ------------------------------------------------------------------------------------


@pytest.fixture
def visited() -> Iterator[Visited]:
    with Visited() as page:
        yield page


def showing(page: Visited, *readings: Any) -> None:
    for _ in range(3):
        page.show(*readings, image=scene("happy", "sad")[0])


def test_bars_are_as_long_as_their_probabilities(tab: webdriver.Chrome, visited: Visited) -> None:
    tab.get(visited.page.url)
    wait_until(lambda: (showing(visited, reading("sad")), cards(tab))[1] != [])
    wait_until(lambda: bars(tab)["sad"] == pytest.approx(0.8, abs=0.03))
    assert bars(tab)["happy"] == pytest.approx(0.05, abs=0.03)
    shares = run(
        tab,
        """Object.fromEntries([...document.querySelectorAll('#faces [role=meter]')].map(
          (bar) => [bar.ariaLabel, bar.ariaValueNow]))""",
    )
    assert shares == {label: "80" if label == "sad" else "5" for label in LABELS}


def bars(driver: webdriver.Chrome) -> dict[str, float]:
    """Return {label: visible share of its bar}, as the browser lays them out."""
    found = run(
        driver,
        """[...document.querySelectorAll('#faces .bar i')].map((bar) => {
          const matrix = new DOMMatrix(getComputedStyle(bar, '::after').transform);
          return [bar.ariaLabel, 1 + matrix.m41 / bar.clientWidth];
        })""",
    )
    return {label: float(share) for label, share in found}


def test_uncertain_is_said_and_not_dressed_up(tab: webdriver.Chrome, visited: Visited) -> None:
    unsure = reading("uncertain", confidence=0.3)
    tab.get(visited.page.url)
    wait_until(lambda: (showing(visited, unsure), cards(tab))[1] != [])
    assert cards(tab) == [("uncertain", "closest: neutral 30 %")]
    assert text(tab, "#boxes .box") == "uncertain"


def test_faces_stay_between_rare_frames(tab: webdriver.Chrome, visited: Visited) -> None:
    def show() -> None:
        visited.show(reading("happy"), image=scene("happy", "sad")[0])

    tab.get(visited.page.url)
    wait_until(lambda: (show(), cards(tab))[1] != [])
    time.sleep(2.0)  # as --max-fps 0.5 has it: who is not seen for a second is gone otherwise
    wait_until(lambda: cards(tab) == [])
    show()
    wait_until(lambda: cards(tab) != [])
    time.sleep(1.5)
    assert cards(tab) != []


def test_boxes_lie_on_the_faces(tab: webdriver.Chrome, visited: Visited) -> None:
    tab.get(visited.page.url)
    found = "[...document.querySelectorAll('#picture, #boxes .box')]"

    def rectangles() -> list[dict[str, float]]:
        showing(visited, reading("happy"))
        seen: list[dict[str, float]] = run(
            tab, f"{found}.map(x => x.getBoundingClientRect().toJSON())"
        )
        return seen

    wait_until(lambda: len(rectangles()) == 2 and cards(tab) != [])
    picture, box = rectangles()
    height, width = scene("happy", "sad")[0].shape[:2]
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(19.2 / width, abs=0.01)
    assert box["width"] / picture["width"] == pytest.approx(96 / width, abs=0.01)
    assert box["height"] / picture["height"] == pytest.approx(32 / height, abs=0.01)


def test_the_timeline_has_the_colours_of_the_labels(
    tab: webdriver.Chrome, visited: Visited
) -> None:
    showing(visited, reading("happy"))
    wait_until(lambda: "label=" in visited.ask("/metrics").body.decode())
    tab.get(visited.page.url)  # opened later: what was before is there
    colour = run(
        tab, "getComputedStyle(document.documentElement).getPropertyValue('--happy').trim()"
    )
    wanted = [int(colour[i : i + 2], 16) for i in (5, 3, 1)]  # blue, green, red

    def drawn() -> bool:
        seen = pixels(tab, "timeline")[:, :, :3].astype(int)
        return bool((np.abs(seen - wanted).max(axis=2) < 4).any())

    wait_until(drawn)


def test_names_of_labels_are_never_markup(tab: webdriver.Chrome) -> None:
    with Visited() as page:
        page.health.source.name = "<img src=x onerror=document.title='broken'>"
        page.health.source.turn("lost", "<b>bold</b>")
        tab.get(page.page.url)
        wait_until(lambda: state(tab) == "lost")
        assert "<img src=x" in text(tab, "#veil") and "<b>bold</b>" in text(tab, "#veil")
        assert run(tab, "document.querySelectorAll('#veil img, #veil b').length") == 0


def test_who_finds_no_place_is_told_so(tab: webdriver.Chrome, visited: Visited) -> None:
    visited.show()
    with ExitStack() as others:
        for _ in range(MAX_VIEWERS):
            others.enter_context(visited.events())
        tab.get(visited.page.url)
        wait_until(lambda: "all places are taken" in text(tab, "#veil"))
        complaints(tab)  # the refusals
        tab.get("about:blank")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(
    tab: webdriver.Chrome, visited: Visited, width: int
) -> None:
    resize(tab, width, 800)
    tab.get(visited.page.url)
    wait_until(lambda: (showing(visited, reading("happy")), cards(tab))[1] != [])
    assert run(tab, "document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_both_schemes(
    tab: webdriver.Chrome, visited: Visited, dark: bool
) -> None:
    resize(tab, 1280, 900, dark=dark)
    tab.get(visited.page.url)
    names = ("--ink", "--quiet", "--accent", "--good", "--bad", "--warn")
    for paper in ("--paper", "--card"):
        for name in names:
            assert contrast(colour_of(tab, name), colour_of(tab, paper)) >= 4.5, (name, paper)


def colour_of(driver: webdriver.Chrome, variable: str) -> list[float]:
    script = f"getComputedStyle(document.documentElement).getPropertyValue('{variable}').trim()"
    colour = run(driver, script)
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast of two sRGB colours (WCAG 2.2: text wants 4.5)."""

    def luminance(colour: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# What a visitor does ------------------------------------------------------------------------------


def test_a_picture_is_given_and_read(
    tab: webdriver.Chrome, visited: Visited, tmp_path: Path
) -> None:
    tab.get(visited.page.url)
    wait_until(lambda: text(tab, "#model") == "drawn-int8")
    picture = save(tmp_path / "two.png", scene("happy", "surprised")[0])
    tab.find_element("id", "file").send_keys(str(picture))
    wait_until(lambda: "2 faces" in text(tab, "#upload-note"))
    labels = run(tab, "[...document.querySelectorAll('#upload-faces b')].map((b) => b.innerText)")
    assert sorted(labels) == ["happy", "surprised"]
    assert run(tab, "document.querySelectorAll('#upload-boxes .box').length") == 2


def test_a_file_that_is_no_picture_is_told_so(
    tab: webdriver.Chrome, visited: Visited, tmp_path: Path
) -> None:
    tab.get(visited.page.url)
    wrong = tmp_path / "wrong.jpg"
    wrong.write_bytes(b"not a picture")
    tab.find_element("id", "file").send_keys(str(wrong))
    wait_until(lambda: "no picture" in text(tab, "#upload-note"))


def test_a_link_from_another_site_opens_the_page(tab: webdriver.Chrome, tmp_path: Path) -> None:
    with Visited("0.0.0.0:0", TOKEN) as page:
        page.show()
        link = f"http://127.0.0.1:{page.port}/?token={TOKEN}"
        mail = tmp_path / "mail.html"
        mail.write_text(f'<a id="link" href="{link}">Look</a>', encoding="utf-8")
        tab.get(mail.as_uri())
        tab.find_element("id", "link").click()
        wait_until(lambda: tab.current_url == f"http://127.0.0.1:{page.port}/")
        wait_until(lambda: state(tab) == "live")
        cookie = next(c for c in tab.get_cookies() if c["name"] == f"emo-token-{page.port}")
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
        tab.refresh()
        wait_until(lambda: state(tab) == "live")


def test_the_token_can_be_typed(tab: webdriver.Chrome) -> None:
    with Visited("0.0.0.0:0", TOKEN) as page:
        page.show()
        tab.get(f"http://127.0.0.1:{page.port}/")
        tab.find_element("id", "token").send_keys("wrong" + "\n")
        wait_until(lambda: "not the token" in text(tab, "body"))
        tab.find_element("id", "token").send_keys(TOKEN + "\n")
        wait_until(lambda: run(tab, "document.body.dataset.state || ''") == "live")
        assert TOKEN not in tab.current_url
    complaints(tab)  # two pages came with status 401


def test_a_hidden_page_watches_nothing(tab: webdriver.Chrome, visited: Visited) -> None:
    def watched() -> int:
        lines = visited.ask("/metrics").body.decode().splitlines()
        return int(float(next(line for line in lines if line.startswith("emo_viewers")).split()[1]))

    tab.get(visited.page.url)
    wait_until(lambda: watched() > 0)
    first = tab.current_window_handle
    tab.switch_to.new_window("tab")
    try:
        wait_until(lambda: (visited.show(), watched())[1] == 0)
    finally:
        tab.close()
        tab.switch_to.window(first)
    wait_until(lambda: watched() > 0)
