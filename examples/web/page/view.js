// What the page shows. Whatever anybody writes gets here, and through textContent only, so it is
// never markup.
"use strict";

const LINES_MAX = 2000; // lines that the page keeps

const $ = (id) => document.getElementById(id);
const log = $("log"), box = $("line");
const title = document.title;

let unread = 0; // lines said while nobody looks
let below = 0; // lines below what a reader sees who has scrolled up
let atEnd = true;

function element(name, text, kind) {
	const made = document.createElement(name);
	made.textContent = text;
	if (kind)
		made.className = kind;
	return made;
}

function colour(name) {
	let sum = 0;
	for (const c of name.toLowerCase())
		sum = (sum * 31 + c.charCodeAt(0)) >>> 0;
	return "n" + sum % 8;
}

function time() {
	const now = new Date(), two = (n) => String(n).padStart(2, "0");
	return element("time", two(now.getHours()) + ":" + two(now.getMinutes()));
}

// One line: { kind, text, who: the speaker or nothing, past: it is history }.
function lineElement(line) {
	const row = element("div", "", line.kind + (line.past ? " past" : ""));
	if (line.kind === "mark") {
		row.append(element("span", line.text));
		return row;
	}
	row.append(line.past ? element("time", "") : time());
	if (line.who)
		row.append(element("b", line.who + ":", colour(line.who)), " ");
	const text = element("span", line.text);
	text.dir = "auto";
	row.append(text);
	return row;
}

function show(lines) {
	const rows = document.createDocumentFragment();
	rows.append(...lines.slice(-LINES_MAX).map(lineElement));
	log.append(rows);
	const many = log.childElementCount - LINES_MAX;
	if (many > 0) {
		const height = log.scrollHeight, top = log.scrollTop;
		for (let n = 0; n < many; n++)
			log.firstChild.remove();
		log.scrollTop = top - (height - log.scrollHeight);
	}
	const said = lines.filter((line) => (line.who || line.kind === "plain") && !line.past && !line.own);
	if (document.hidden)
		unread += said.length;
	if (!atEnd)
		below += said.length;
	showNews();
}

function showNews() {
	if (atEnd) {
		below = 0;
		log.scrollTop = log.scrollHeight;
	}
	document.title = unread ? `(${unread}) ${title}` : title;
	$("below").hidden = below === 0;
	$("below").textContent = `${below} new ${below === 1 ? "line" : "lines"} ↓`;
}

function showState(state, text) {
	$("state").dataset.state = state;
	$("state").textContent = text;
	$("again").hidden = state !== "lost" && state !== "left";
}

function showPeople() {
	$("people").hidden = !chat;
	$("me").hidden = !chat;
	$("me").textContent = me;
	const sorted = [...names].sort((a, b) => a.localeCompare(b, "en", { sensitivity: "base" }));
	$("names").replaceChildren(...sorted.map((name) => {
		const item = document.createElement("li");
		item.append(element("b", name, colour(name)), name === me ? " (you)" : "");
		return item;
	}));
}

