// What chatd says: in mode "chat" a line is "NAME: TEXT" or "* NOTICE"; in mode "lines" it is anything.
"use strict";

let chat = false; // mode = "chat": lines bear names
let me = ""; // one's own name
let names = new Set();
let past = null; // lines of the history, from its first mark to its last one
let said = []; // what this page has seen said, so that a history does not show it again
let goodbye = false; // chatd has answered /quit

const isGuest = (name) => /^guest\d+$/.test(name);
const list = (text, between) => text.replace(/ and \d+ more$/, "").split(between)
	.filter((name) => !isGuest(name) || name === me);

function rename(from, to) {
	names.delete(from);
	names.add(to);
	if (from === me)
		me = to;
}

// A notice tells of people, in one of these ways.
const notices = [
	[/^welcome, ([^ ;]+);/, (name) => {
		chat = true;
		me = name;
		names = new Set([me]);
		// In mode "lines" anybody can say this line, but hardly as the first one.
		const mine = remembered();
		if (mine && fresh)
			send(`/name ${mine}`);
	}],
	[/^names end here: /, () => { chat = false; }],
	[/^here: (.*)$/, (text) => { names = new Set([...list(text, " "), me]); }],
	[/^came: (.*)$/, (text) => list(text, ", ").forEach((name) => names.add(name))],
	[/^left: (.*)$/, (text) => list(text, ", ").forEach((name) => names.delete(name))],
	[/^(\S+) is now (\S+)$/, rename],
	[/^you are (\S+)$/, (name) => {
		rename(me, name);
		remember(name);
	}],
];

function understand(notice) {
	for (const [pattern, act] of notices) {
		const found = notice.match(pattern);
		if (found) {
			act(...found.slice(1));
			showPeople();
			return;
		}
	}
}

// One line as it came, as a line to show.
function parse(line) {
	if (line.startsWith("chatd: ")) {
		goodbye = line === "chatd: goodbye";
		return { kind: "chatd", text: line };
	}
	if (line.startsWith("* welcome, ") || chat && line.startsWith("* ")) {
		understand(line.slice(2));
		return { kind: "notice", text: line };
	}
	const colon = line.indexOf(": ");
	if (!chat || colon < 0)
		return { kind: "plain", text: line };
	return { kind: "said", who: line.slice(0, colon), text: line.slice(colon + 2) };
}

function remembered() {
	try {
		return localStorage.getItem("chatd-name");
	} catch { // the browser keeps nothing
		return null;
	}
}

function remember(name) {
	try {
		localStorage.setItem("chatd-name", name);
	} catch {
		// then it is forgotten
	}
}

const key = (line) => `${line.who}: ${line.text}`;

// What of the history this page has not shown yet. After a short break it has shown the beginning.
function unseen(history) {
	const keys = history.map(key);
	for (let n = Math.min(keys.length, said.length); n > 0; n--)
		if (said.slice(-n).every((each, i) => each === keys[i]))
			return history.slice(n);
	return history;
}

function endOfPast() {
	const news = unseen(past);
	past = null;
	if (!news.length)
		return [];
	said.push(...news.map(key));
	return [{ kind: "mark", text: "said before you came" }, ...news, { kind: "mark", text: "now" }];
}

function received(lines) {
	const shown = [];
	for (const text of lines) {
		if (chat && text === "* said before you came:") {
			past = [];
		} else if (past && text === "* now:") {
			shown.push(...endOfPast());
		} else {
			const line = parse(text);
			if (past && line.who) {
				past.push({ ...line, past: true });
				continue;
			}
			if (line.who)
				said.push(key(line));
			shown.push(line);
		}
	}
	said = said.slice(-LINES_MAX);
	show(shown);
}

