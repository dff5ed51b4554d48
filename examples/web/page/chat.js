// The connection to chatd, by way of websockify, and the person: what comes is bytes, what goes is
// lines.
"use strict";

const LINE_MAX = 8191; // bytes of one line, without its end: limits.line of chatd
const PENDING_MAX = 1 << 20; // characters of a line without an end, until it is shown as it is
const DELAY = 1000; // milliseconds until the first try to connect again; doubles up to
const DELAY_MAX = 30000;
const SETTLED = 1000; // milliseconds after which a connection that says nothing counts as one
const RECALL_MAX = 100;

// --- the connection

let socket = null, decoder, pending, retry, settling;
let tries = 0; // to connect, without success
let fresh = true; // nothing was heard yet in this connection

const place = new URL("websockify", location.href);
place.protocol = place.protocol.replace("http", "ws");
place.search = place.hash = "";

function settled() {
	clearTimeout(settling);
	tries = 0;
	if (socket.readyState === WebSocket.OPEN)
		showState("connected", "connected");
}

// A character may lie in two frames, and so may a line.
function take(bytes) {
	pending += decoder.decode(bytes, { stream: true });
	const lines = pending.split("\n");
	pending = lines.pop();
	if (pending.length > PENDING_MAX) {
		lines.push(pending);
		pending = "";
	}
	// A server that only says why not is none yet.
	if (lines.some((line) => !line.startsWith("chatd: ")))
		settled();
	received(lines);
	fresh = fresh && !lines.length;
}

function lost() {
	clearTimeout(settling);
	if (pending)
		received([pending]);
	if (past)
		show(endOfPast());
	socket = null;
	if (goodbye) {
		showState("left", "you have left");
		return;
	}
	showState("lost", "not connected, trying again");
	// Not all at the same time, after a restart of the server.
	const delay = Math.min(DELAY_MAX, DELAY * 2 ** tries++) * (0.5 + Math.random() / 2);
	retry = setTimeout(connect, delay);
}

function connect() {
	clearTimeout(retry);
	if (socket)
		return;
	goodbye = false;
	fresh = true;
	pending = "";
	decoder = new TextDecoder();
	if (tries === 0)
		showState("connecting", "connecting");
	socket = new WebSocket(place);
	socket.binaryType = "arraybuffer";
	socket.onopen = () => { settling = setTimeout(settled, SETTLED); };
	socket.onmessage = (event) => take(event.data);
	socket.onclose = lost;
}

function send(line) {
	socket.send(new TextEncoder().encode(line + "\n"));
}

function connectNow() {
	tries = 0;
	connect();
}

// --- the person

let recall = [], recalled = 0;

function tell(text) {
	show([{ kind: "page", text }]);
}

function say(text) {
	if ($("state").dataset.state !== "connected") {
		tell("Not connected: what you wrote is still there.");
		return false;
	}
	const lines = text.split(/\r\n|\r|\n/).filter((line) => line);
	if (lines.some((line) => new TextEncoder().encode(line).length > LINE_MAX)) {
		tell(`A line has at most ${LINE_MAX} bytes.`);
		return false;
	}
	const shown = [];
	for (const line of lines) {
		send(line);
		// chatd sends everybody else what somebody says, so it is shown here; an answer it does send.
		if (chat && /^\/[A-Za-z]+( |$)/.test(line))
			continue;
		const own = { kind: "said own", who: chat ? me : "", own: true,
			text: chat && line.startsWith("//") ? line.slice(1) : line };
		if (chat)
			said.push(key(own));
		shown.push(own);
	}
	atEnd = true;
	show(shown);
	recall = [...recall, ...lines].slice(-RECALL_MAX);
	recalled = recall.length;
	return true;
}

// Tab completes a name, and only where there is one to complete; else it goes on, as everywhere.
function complete() {
	const start = box.value.slice(0, box.selectionStart);
	const word = start.match(/[A-Za-z][\w-]*$/)?.[0];
	const name = word && [...names].sort().find((each) => each.length > word.length &&
		each.toLowerCase().startsWith(word.toLowerCase()));
	if (!name)
		return false;
	const after = start.length === word.length ? ": " : " ";
	box.setRangeText(name + after, start.length - word.length, start.length, "end");
	return true;
}

function recallLine(step) {
	if (box.value && box.value !== recall[recalled])
		return false;
	const to = recalled + step;
	if (to < 0 || to > recall.length)
		return false;
	recalled = to;
	box.value = recall[to] ?? "";
	return true;
}

box.addEventListener("keydown", (event) => {
	let done = false;
	if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey)
		return;
	if (event.key === "Enter") {
		$("form").requestSubmit();
		done = true;
	} else if (event.key === "Tab") {
		done = complete();
	} else if (event.key === "ArrowUp") {
		done = recallLine(-1);
	} else if (event.key === "ArrowDown") {
		done = recallLine(1);
	} else if (event.key === "PageUp" || event.key === "PageDown") {
		log.scrollBy(0, (event.key === "PageUp" ? -0.9 : 0.9) * log.clientHeight);
		done = true;
	}
	if (done)
		event.preventDefault();
});

$("form").addEventListener("submit", (event) => {
	event.preventDefault();
	if (say(box.value))
		box.value = "";
	box.focus();
});

$("me").addEventListener("click", () => {
	if (!box.value)
		box.value = "/name ";
	box.focus();
});

$("below").addEventListener("click", () => {
	atEnd = true;
	showNews();
	box.focus();
});

$("again").addEventListener("click", () => {
	connectNow();
	box.focus();
});

log.addEventListener("scroll", () => {
	atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
	if (atEnd)
		showNews();
});

new ResizeObserver(showNews).observe(log);

document.addEventListener("visibilitychange", () => {
	if (document.hidden)
		return;
	unread = 0;
	showNews();
});

window.addEventListener("online", () => {
	if (!goodbye)
		connectNow();
});

connect();
