#!/bin/sh
# A bot for mode = "chat" in shell: it says the time to whoever writes "NAME: time?".
#
#	bot.sh [HOST [PORT [NAME]]]
#
# A line is "NAME: TEXT" or "* NOTICE". No name holds a colon, a space or a star, so what stands
# before the first ": " is who speaks. read -r takes each line as it is, and printf says it
# without looking at it: nothing that a stranger writes is ever run.
host=${1:-127.0.0.1} port=${2:-9034} name=${3:-clock}

folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
mkfifo "$folder/says" || exit

# Opened for both, so that it waits for nobody; nc reads what the loop writes.
exec 3<>"$folder/says"
printf '/name %s\n' "$name" >&3

nc "$host" "$port" <&3 | while IFS= read -r line; do
	case $line in
	'* '*) ;; # a notice: nobody speaks
	*": $name: time?") printf '%s: it is %s\n' "${line%%: *}" "$(date +%H:%M)" >&3 ;;
	'chatd: '*) printf '%s\n' "$line" >&2 ;; # why the connection ends
	esac
done
