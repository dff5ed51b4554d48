# Words for the stories. A story is a shell script: step "what a person does or
# sees", then the commands for it. The first command that fails ends the story.
#
# stdout of a story is its result, in TAP; what the commands print is kept and
# shown only when a step fails. The stories also run as autopkgtests, so they
# leave the service as they found it.
set -eEuo pipefail

story=${0##*/}
step=
log=$(mktemp)
exec 3>&1 >>"$log" 2>&1

step() {
	told
	step=$*
	: >"$log"
	# A story starts chatd more often than systemd takes for healthy.
	systemctl reset-failed chatd.service chatd.socket || :
}

told() {
	[ -z "$step" ] || echo "ok - $story: $step" >&3
	step=
}

fail() {
	echo "$*"
	exit 1
}

# A story may define at_end, to put back what it changed.
at_end() { :; }

finish() {
	local status=$?
	trap - ERR
	set +eE
	if [ $status = 0 ]; then
		told
	else
		echo "not ok - $story: $step" >&3
		{
			cat "$log"
			systemctl --no-pager -n 0 status chatd.service
			echo 'The journal without the trace, and the last lines of all:'
			journalctl --no-pager -p info -n 30
			journalctl --no-pager -n 20
		} 2>&1 | sed 's/^/# /' >&3
	fi
	at_end
	rm -f "$log"
	exit $((status != 0))
}
trap finish EXIT
trap 'echo "${BASH_SOURCE[0]}:$LINENO: $BASH_COMMAND: failed"' ERR

# eventually COMMAND...: waits until COMMAND succeeds
eventually() {
	local deadline=$((SECONDS + 30)) said
	until said=$("$@" 2>&1); do
		[ $SECONDS -lt $deadline ] || fail "waited in vain for: $*
$said"
		sleep 0.2
	done
}

# refuses COMMAND...: COMMAND must fail
refuses() {
	! "$@" || fail "should have failed: $*"
}

# --- people -------------------------------------------------------------------

# join NAME [PORT]: NAME comes in; the descriptor of the connection is in $NAME
join() {
	local -n person=$1
	exec {person}<>"/dev/tcp/127.0.0.1/${2:-9034}"
}

# leave NAME
leave() {
	local -n person=$1
	exec {person}>&-
}

# says NAME TEXT
says() {
	printf '%s\n' "$2" >&"${!1}"
}

# hears NAME TEXT: the next line for NAME is TEXT
hears() {
	local line=
	IFS= read -r -t 30 -u "${!1}" line || fail "$1 hears nothing, but waits for: $2"
	[ "$line" = "$2" ] || fail "$1 hears '$line', not '$2'"
}

# is_gone NAME: NAME has been disconnected, and hears nothing more
is_gone() {
	local line= status=0
	IFS= read -r -t 30 -u "${!1}" line || status=$?
	[ $status = 1 ] && [ -z "$line" ] || fail "$1 is still there: '$line'"
}

# talk NAME NAME: they say something to each other
talk() {
	says "$1" "from $1: hello"
	hears "$2" "from $1: hello"
	says "$2" "from $2: and to you"
	hears "$1" "from $2: and to you"
}

# --- the service --------------------------------------------------------------

main_pid() { systemctl show -P MainPID chatd.service; }

is_active() { systemctl is-active --quiet "${1:-chatd.service}"; }

nobody_listens() { ! (exec 4<>"/dev/tcp/127.0.0.1/${1:-9034}") 2>/dev/null; }
somebody_listens() { ! nobody_listens "${1:-9034}"; }

# what_follows: from here on, journal shows only what is new
what_follows() {
	journalctl --sync
	# Not a cursor: with a filter, --after-cursor skips a line too many (systemd 252).
	since=@$(date +%s.%6N)
}

# journal [OPTION...]: what chatd wrote, and systemd about it
journal() {
	journalctl --sync
	journalctl -u chatd.service -o cat --no-pager -q ${since:+--since="$since"} "$@"
}

# journal_has TEXT: a line of the journal contains TEXT
journal_has() { journal | grep -F -e "$1" >/dev/null; }

# edit TEXT NEW: TEXT in the settings file becomes NEW, as in an editor
edit() {
	local text
	text=$(cat /etc/chatd.conf)
	[[ $text = *"$1"* ]] || fail "not in /etc/chatd.conf: $1"
	printf '%s\n' "${text/"$1"/"$2"}" >/etc/chatd.conf
}

# drop_in NAME: stdin becomes a drop-in of chatd.service, or of UNIT if NAME is UNIT/NAME
drop_in() {
	local unit=chatd.service
	case $1 in */*) unit=${1%/*} ;; esac
	mkdir -p "/etc/systemd/system/$unit.d"
	cat >"/etc/systemd/system/$unit.d/${1##*/}.conf"
	systemctl daemon-reload
}

# no_drop_ins: back to the units as they were installed
no_drop_ins() {
	rm -rf /etc/systemd/system/chatd.service.d /etc/systemd/system/chatd.socket.d
	systemctl daemon-reload
}
