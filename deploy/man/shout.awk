# shout(8): the page, with the commands and the options of `shout --help` in their places.
#
#   shout --help | awk -v version=V -v date=D -f shout.awk - shout.8.in

function item() {
	split(substr($0, 3), part, /  +/)
	gsub(/-/, "\\-", part[1])
	gsub(/-/, "\\-", part[2])
	return ".TP\n.B " part[1] "\n" part[2] "\n"
}

FNR == NR && /^  --version/ { next } # in the synopsis
FNR == NR && /^  -/ { options = options item(); next }
FNR == NR && /^  [a-z]/ { commands = commands item(); next }
FNR == NR { next }
/^@COMMANDS@/ { printf "%s", commands; next }
/^@OPTIONS@/ { printf "%s", options; next }
{ sub(/@DATE@/, date); sub(/@VERSION@/, version); print }
