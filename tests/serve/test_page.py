"""The page in a real Chromium whose microphone plays recorded speech, against a real server."""

import base64
import contextlib
import functools
import http.server
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "oration" / "serve" / "page"
SAMPLES = ROOT / "oration" / "samples"
PICTURES = ROOT / "out" / "page"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
WAIT = 60_000  # ms; a machine that is busy with other tests takes its time
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
]

try:
    import playwright.sync_api as playwright
except ImportError:
    playwright = None
in_chromium = pytest.mark.skipif(
    not (CHROMIUM and playwright),
    reason="needs a Chromium (on Debian: apt install chromium)" if playwright else "needs pip install playwright",
)


class Server:
    """`oration serve` in a process of its own."""

    def __init__(self, *args):
        command = [sys.executable, "-m", "oration.cli", "serve", *args, "--port", "0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", said)):
            ready, _, _ = select.select([self.process.stdout], [], [], 120)
            line = self.process.stdout.readline() if ready else ""
            assert line, f"the server did not start: {said}"
            said += line
        self.port = int(found.group(1))
        self.url = found.group(0)
        # Who writes into a full pipe waits.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return answer.read().decode()

    def stop(self):
        """At the first signal it waits for sessions to end, at the second it does not."""
        for end, patience in ((self.process.terminate, 1), (self.process.terminate, 20), (self.process.kill, 20)):
            end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
                return


class Wire:
    """What lies between the page and the server; it can be cut."""

    def __init__(self, port):
        self.port, self.pairs, self.up = port, [], True
        self.flows = threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.port))
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    def _carry(self, source, sink):
        flows = self.flows
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.up = False
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs = []

    def mend(self):
        self.up = True

    def close(self):
        self.flows.set()
        self.listener.close()
        self.cut()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A microphone's worth of recorded speech: two speakers, then a pause."""
    path = tmp_path_factory.mktemp("speech") / "microphone.wav"
    parts = []
    for name in ("jfk", "librivox-0870"):
        wave, rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")
        parts += [soxr.resample(wave, rate, 48_000), np.zeros(48_000, np.float32)]
    soundfile.write(path, np.concatenate(parts), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def chromium():
    """Starts browsers; they end with the module."""
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver, contextlib.ExitStack() as running:

        def start(*args):
            browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*root, *QUIET, *args])
            running.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="module")
def server():
    running = Server("--echo")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser(chromium, speech):
    """Its microphone plays recorded speech, and is allowed."""
    return chromium("--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={speech}%noloop")


class View:
    """One tab, and whatever its console says."""

    def __init__(self, browser, url, **more):
        self.context = browser.new_context(viewport={"width": 1100, "height": 900}, **more)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.said = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.goto(url)

    def until(self, condition):
        """Waits until this is true of the page's own account `a`; gives the account."""
        script = f"() => {{ const a = oration.account(); return ({condition}) && a }}"
        held = self.page.wait_for_function(script, timeout=WAIT)
        return held.json_value()

    def account(self):
        return self.page.evaluate("oration.account()")

    def log(self, what):
        return [entry for entry in self.account()["log"] if entry["what"] == what]

    def troubled(self):
        return [line for line in self.said if line.startswith(("error", "warning"))]

    def picture(self, name):
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.fixture
def open_page(browser):
    """Tabs of the browser with a microphone; their consoles must stay clean."""
    views = []

    def open_page(url, **more):
        views.append(View(browser, url, **more))
        return views[-1]

    yield open_page
    for view in views:
        view.context.close()
    assert [line for view in views for line in view.troubled()] == []


@in_chromium
def test_it_is_heard_answers_is_interrupted_and_stops(open_page, server):
    view = open_page(server.url)
    assert view.page.get_by_role("status").first.inner_text() == "Not connected"
    view.page.keyboard.press("Space")
    a = view.until("a.phase === 'live' && a.output?.counts.played > 0 && a.output.rms > 0.001")
    assert a["engine"] == "echo"
    assert a["sent"]["samples"] > 0
    a = view.until("a.stats?.ledger?.received > 0 && a.stats.ledger.played > 0")
    assert a["stats"]["ledger"]["consumed"] > 0, "the server heard nothing"
    view.picture("desktop")

    view.page.keyboard.press("Escape")
    a = view.until("a.log.some(({ what }) => what === 'flushed')")
    (flushed,) = view.log("flushed")
    (flush,) = view.log("flush")
    stopped = [reply for reply in a["output"]["replies"] if reply["epoch"] == flush["epoch"]]
    # Less, where the last of it was discarded as too late before the flush came.
    assert [reply["upto"] <= flushed["upto"] for reply in stopped] == [True]
    # The echo begins another reply; of the one that was stopped nothing is played any more.
    a = view.until(f"a.output.epoch > {flush['epoch']} && a.output.upto > {flushed['upto']} + a.rate / 2")
    assert [r for r in a["output"]["replies"] if r["epoch"] == flush["epoch"]] == stopped
    counts = a["output"]["counts"]
    assert counts["received"] == a["output"]["waiting"] + sum(
        counts[name] for name in ("played", "late", "flushed", "repeated")
    )
    view.page.get_by_role("button", name="End", exact=True).click()
    view.until("a.phase === 'idle'")
    sent = view.account()["sent"]["samples"]
    view.page.wait_for_timeout(300)
    assert view.account()["sent"]["samples"] == sent


@in_chromium
def test_a_lost_connection_and_a_reload_go_on_in_the_same_session(open_page, server):
    wire = Wire(server.port)
    try:
        view = open_page(wire.url)
        view.page.get_by_role("button", name="Start talking").click()
        session = view.until("a.phase === 'live' && a.output?.counts.played > 0")["session"]
        wire.cut()
        view.until("a.phase === 'lost'")
        assert "Connection lost" in view.page.get_by_role("status").first.inner_text()
        before = view.account()["sent"]["samples"]
        view.page.wait_for_timeout(500)
        wire.mend()
        a = view.until(f"a.phase === 'live' && a.output.upto > {view.account()['output']['upto']} + a.rate / 4")
        assert a["session"] == session
        assert view.log("welcome")[-1]["before"] == "resumed"
        assert a["sent"]["lost"] == 0
        assert a["sent"]["samples"] > before, "what is said meanwhile waits"

        view.page.reload()
        a = view.until("a.phase === 'live' && a.output?.counts.played > 0")
        assert a["session"] == session
        assert [entry["before"] for entry in view.log("welcome")] == ["resumed"]
        view.page.get_by_role("button", name="End", exact=True).click()
        view.page.reload()
        assert view.account()["phase"] == "idle", "what was ended does not go on"

        # One that the server does not hold any more becomes a new one, and the page says so.
        view.page.evaluate(
            "sessionStorage.oration = JSON.stringify({ session: 's_0', key: '', received: 0, events: 0 })"
        )
        view.page.reload()
        a = view.until("a.phase === 'live' && a.output?.counts.played > 0")
        assert a["session"] != session
        assert a["trouble"] == "The session before could not be continued."
        # The browser itself tells the console of connections that were cut.
        cut = ("WebSocket connection to", "net::ERR_CONNECTION_RESET")
        view.said = [line for line in view.said if not any(words in line for words in cut)]
    finally:
        wire.close()


@pytest.mark.slow
@in_chromium
def test_a_connection_that_only_seems_to_live_is_noticed(open_page, server):
    wire = Wire(server.port)
    try:
        view = open_page(wire.url)
        view.page.get_by_role("button", name="Start talking").click()
        session = view.until("a.phase === 'live' && a.output?.counts.played > 0")["session"]
        wire.flows.clear()
        view.until("a.phase === 'lost'")
        wire.pairs = []  # these stay as they are: the server has not noticed yet
        wire.flows = threading.Event()
        wire.flows.set()
        a = view.until("a.phase === 'live' && a.log.some(({ before }) => before === 'resumed')")
        assert a["session"] == session
    finally:
        wire.close()


@in_chromium
def test_hold_to_talk_on_a_phone(open_page, server):
    view = open_page(server.url, color_scheme="dark", reduced_motion="reduce")
    view.page.set_viewport_size({"width": 360, "height": 740})
    view.page.get_by_label("Hold to talk").check()
    view.page.get_by_role("button", name="Start talking").click()
    view.until("a.phase === 'live'")
    talk = view.page.locator("#talk")
    assert talk.get_attribute("aria-pressed") == "false"
    view.page.locator("h1").click()
    view.page.keyboard.down("Space")
    view.until("a.output?.rms > 0.001")
    assert talk.get_attribute("aria-pressed") == "true"
    view.picture("phone")
    view.page.keyboard.up("Space")
    assert talk.get_attribute("aria-pressed") == "false"
    # Silence is sent, and comes back.
    view.until("a.output.counts.played > 0 && a.output.peak === 0")
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 360
    unnamed = view.page.evaluate(
        """[...document.querySelectorAll('button, input, select')].filter((e) =>
             !e.textContent.trim() && !e.labels?.length && !e.ariaLabel).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    small = view.page.evaluate(
        "[...document.querySelectorAll('button, select')].filter((e) => e.getBoundingClientRect().height < 43).length"
    )
    assert small == 0, "too small for a thumb"
    for key in range(30):
        view.page.keyboard.press("Tab")
        seen = view.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert seen != "none" or view.page.evaluate("document.activeElement === document.body"), key


GRASP = """
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices)
if (ask) navigator.mediaDevices.getUserMedia = async (...args) => (globalThis.stream = await ask(...args))
globalThis.AudioContext = class extends AudioContext {
  constructor(...args) {
    super(...args)
    globalThis.sound = this
  }
}
"""


@pytest.mark.slow
@in_chromium
def test_a_lost_microphone_is_replaced_and_a_suspended_tab_wakes(open_page, server):
    view = open_page("about:blank")
    view.context.add_init_script(GRASP)
    view.page.goto(server.url)
    view.page.get_by_role("button", name="Start talking").click()
    view.until("a.phase === 'live' && a.output?.counts.played > 0")
    view.page.evaluate("stream.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    view.until("a.trouble === 'The microphone went away.'")
    assert view.account()["phase"] == "live"
    assert view.page.evaluate("stream.active"), "another one is used"
    view.page.get_by_role("button", name="Close").click()

    # What browsers do to a tab that sleeps: the sound stops, the page may still run.
    view.page.evaluate("sound.suspend()")
    view.until("a.trouble === 'The browser holds the sound back.'")
    view.page.wait_for_timeout(2000)
    before = view.account()["sent"]["samples"]
    view.page.get_by_role("button", name="Turn the sound on").click()
    view.until(f"a.sent.samples > {before} + a.rate / 2 && a.trouble?.startsWith('This tab slept for')")
    assert view.account()["phase"] == "live"


@pytest.mark.slow
@in_chromium
def test_a_token_is_asked_for(open_page, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("somebody a-token-of-more-than-16\n")
    closed = Server("--echo", "--token-file", str(tokens))
    try:
        view = open_page(closed.url)
        field = view.page.get_by_label("This server asks for a token")
        field.fill("a-token-that-nobody-knows")
        field.press("Enter")
        playwright.expect(view.page.locator("[aria-live=assertive]")).to_contain_text(
            "This token is unknown", timeout=WAIT
        )
        field.fill("a-token-of-more-than-16")
        field.press("Enter")
        session = view.until("a.phase === 'live' && a.output?.counts.played > 0")["session"]
        assert "a-token" not in json.dumps(view.account())
        # After a reload the token is to be given again; the session goes on.
        view.page.reload()
        view.page.get_by_label("This server asks for a token").fill("a-token-of-more-than-16")
        view.page.keyboard.press("Enter")
        assert view.until("a.phase === 'live' && a.output?.counts.played > 0")["session"] == session
        view.context.close()
    finally:
        closed.stop()


@pytest.mark.slow
@in_chromium
def test_the_shipped_model_hears_speech_and_answers_with_sound(open_page):
    model = Server()
    try:
        view = open_page(model.url)
        view.page.get_by_role("button", name="Start talking").click()
        a = view.until("a.log.some(({ what }) => what === 'began') && a.output.counts.played > a.rate / 2")
        assert a["stats"]["ledger"]["consumed"] > 0
        assert a["output"]["counts"]["late"] == 0, "a reply is played whole"
        view.until("a.output.rms > 0.001")
        view.picture("model")
        view.context.close()
    finally:
        model.stop()


@pytest.fixture(scope="module")
def refusing(chromium):
    """A browser without a microphone's permission, for which pages.test is this machine."""
    return chromium("--deny-permission-prompts", "--host-resolver-rules=MAP pages.test 127.0.0.1")


@in_chromium
def test_a_refused_microphone_is_explained_and_a_file_does_instead(refusing, server):
    view = View(refusing, server.url)
    view.page.get_by_role("button", name="Start talking").click()
    alarm = view.page.locator("[aria-live=assertive]")
    playwright.expect(alarm).to_contain_text("The microphone is blocked for this page.", timeout=WAIT)
    playwright.expect(alarm).to_contain_text("allow the microphone")
    assert view.account()["phase"] == "idle"

    file = SAMPLES / "kathleen-arctic_a0479.flac"
    drop = """([name, data]) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0))
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File([bytes], name))
      window.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
    }"""
    view.page.evaluate(drop, [file.name, base64.b64encode(file.read_bytes()).decode()])
    playwright.expect(view.page.get_by_label(f"Sending {file.name}")).to_be_visible(timeout=WAIT)
    view.until("a.output?.counts.played > a.rate && a.output.rms > 0.001")
    view.page.get_by_role("button", name="End", exact=True).click()

    # Choosing works as dropping does; and what is no sound is said to be none.
    view.page.set_input_files("#file", {"name": "words.wav", "mimeType": "audio/wav", "buffer": b"no sound at all"})
    playwright.expect(alarm).to_contain_text("words.wav could not be read as sound.", timeout=WAIT)
    view.page.set_input_files("#file", file)
    view.until("a.log.filter(({ what }) => what === 'file').length === 2")
    assert view.troubled() == []
    view.context.close()


@in_chromium
def test_an_insecure_address_is_explained(refusing):
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=PAGE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        view = View(refusing, f"http://pages.test:{plain.server_port}/")
        alarm = view.page.locator("[aria-live=assertive]")
        playwright.expect(alarm).to_contain_text("This address is not secure", timeout=WAIT)
        playwright.expect(alarm).to_contain_text(f"http://localhost:{plain.server_port}")
        playwright.expect(view.page.locator("#talk")).to_be_disabled()
        view.context.close()
        plain.shutdown()
