#!/usr/bin/env bash
# Verifies one stream of a ledger with sha256sum and jq alone: no code of this project is involved.
#
#   docs/verify.sh LEDGER_DIRECTORY TENANT ENV [EXPECTED_HEAD]
#
# Checks that the stream's events are numbered from 1 without gaps, that each holds the SHA-256 of the one
# before it (the first: of the genesis text), over exactly the bytes that are stored, and that the newest
# head which checkpoints.ndjson lists for the stream stands in it. Where old segments were dropped, the
# newest cut in cuts.ndjson says where the log begins, and the head table that it names by its SHA-256 from
# which event the stream goes on. EXPECTED_HEAD, TENANT/ENV:SEQ:HASH as
# this script prints it, is a head that was noted earlier, outside the ledger.
#
# It does not check signatures; the library's `verify` does. A stream's last line after the newest
# checkpoint could be altered or cut without a trace in the chain: note heads outside.
#
# Exit code: 0 verified, 1 not verified, 2 not run.
set -euo pipefail
# Bytes, not characters: lengths are compared with the files' sizes.
export LC_ALL=C

stop() {
    printf 'verify.sh: %s\n' "$1" >&2
    exit 2
}

fail() {
    printf 'NOT VERIFIED: stream %s/%s: %s\n' "$tenant" "$env" "$1"
    exit 1
}

hash_of() {
    # The bytes as given, without a newline behind them.
    printf '%s' "$1" | sha256sum | { read -r hash _ && printf '%s' "$hash"; }
}

[[ $# -eq 3 || $# -eq 4 ]] || stop "usage: verify.sh LEDGER_DIRECTORY TENANT ENV [TENANT/ENV:SEQ:HASH]"
for tool in jq sha256sum; do
    command -v "$tool" >/dev/null || stop "needs $tool; install it first (Debian: apt-get install jq coreutils)"
done
directory=$1 tenant=$2 env=$3 expected=${4-}
[[ -f $directory/ledger.json ]] || stop "$directory has no ledger.json; name a ledger's own directory"
ledger=$(jq -r '.ledger_id // empty' "$directory/ledger.json") || stop "$directory/ledger.json is not JSON"
[[ -n $ledger ]] || stop "$directory/ledger.json names no ledger"

# Lines that must stand in the stream: seq -> hash.
declare -A known=()
if [[ -n $expected ]]; then
    [[ $expected =~ ^([^/]+)/([^:]+):([0-9]+):([0-9a-f]{64})$ ]] || stop "an expected head reads TENANT/ENV:SEQ:HASH"
    [[ ${BASH_REMATCH[1]} == "$tenant" && ${BASH_REMATCH[2]} == "$env" ]] || stop "the expected head is of another stream"
    known[${BASH_REMATCH[3]}]=${BASH_REMATCH[4]}
fi

# The newest checkpoint that lists the stream, read before the log: the log already holds what it names.
if [[ -f $directory/checkpoints.ndjson ]]; then
    listed=$(jq -rR --arg tenant "$tenant" --arg env "$env" '
        (try fromjson catch null) | objects
        | . as $checkpoint | .heads[]? | select(.tenant_id == $tenant and .env == $env)
        | "\($checkpoint.number) \(.seq) \(.hash)"' "$directory/checkpoints.ndjson")
    if [[ -n $listed ]]; then
        read -r checkpoint seq hash <<<"${listed##*$'\n'}"
        [[ ${known[$seq]-$hash} == "$hash" ]] || fail "checkpoint $checkpoint lists another event $seq than is expected"
        known[$seq]=$hash
    fi
fi

# Where the log begins, and which event of the stream stands before. The cuts are chained as events are.
head_seq=0
head_hash=$(printf 'dataset-events genesis v1\n%s\n%s\n%s\n' "$ledger" "$tenant" "$env" | sha256sum)
head_hash=${head_hash%% *}
number=0
cut=0
if [[ -f $directory/cuts.ndjson ]]; then
    before=$(printf 'dataset-events cuts v1\n%s\n' "$ledger" | sha256sum)
    before=${before%% *}
    while IFS= read -r line; do
        cut=$((cut + 1))
        read -r cut_number cut_prev cut_ledger segment table < <(
            jq -r '"\(.number) \(.prev) \(.ledger_id) \(.position.segment) \(.head_table)"' <<<"$line" 2>/dev/null
        ) || fail "line $cut of cuts.ndjson is no cut"
        [[ $cut_number == "$cut" && $cut_prev == "$before" ]] || fail "cut $cut does not follow the one before it"
        [[ $cut_ledger == "$ledger" ]] || fail "cut $cut is of another ledger"
        before=$(hash_of "$line")
    done <"$directory/cuts.ndjson"
fi
if [[ $cut -gt 0 ]]; then
    number=$((segment - 1))
    file=$directory/log/$(printf '%08d' "$number").heads.json
    [[ -f $file && $(sha256sum <"$file") == "$table  -" ]] || fail "the head table of cut $cut is not the one that it names"
    head=$(jq -r --arg tenant "$tenant" --arg env "$env" '
        .heads[] | select(.tenant_id == $tenant and .env == $env) | "\(.seq) \(.hash)"' "$file")
    [[ -z $head ]] || read -r head_seq head_hash <<<"$head"
    # What was dropped cannot be compared; the newest of it is known.
    for seq in "${!known[@]}"; do
        if [[ $seq -eq $head_seq ]]; then
            [[ ${known[$seq]} == "$head_hash" ]] || fail "event $seq is not the one that is signed or expected"
        fi
        [[ $seq -gt $head_seq ]] || unset "known[$seq]"
    done
fi
first_seq=$head_seq

# One word or three for each line of the log: `event SEQ PREV` for those of the stream. jq only selects;
# what is hashed are the stored bytes.
select_lines() {
    jq -rR --arg ledger "$ledger" --arg tenant "$tenant" --arg env "$env" '
        (try fromjson catch null)
        | if type != "object" or (.kind != "event" and .kind != "attempt") then "bad"
          elif .ledger_id != $ledger then "foreign"
          elif .kind == "event" and .tenant_id == $tenant and .env == $env then "event \(.seq) \(.prev)"
          else "other" end'
}

unfinished=0
shopt -s nullglob
segments=()
for segment in "$directory"/log/*.ndjson; do
    # What lies before the cut is no part of the log.
    [[ ! ${segment##*/} < $(printf '%08d' $((number + 1))) ]] && segments+=("$segment")
done
last=$((number + ${#segments[@]}))
for segment in "${segments[@]}"; do
    number=$((number + 1))
    name=log/${segment##*/}
    [[ $name == "log/$(printf '%08d' "$number").ndjson" ]] || fail "segment $number is missing before $name"
    # A ledger in use grows while it is read: all looks are at the same bytes.
    size=$(wc -c <"$segment")
    exec 3< <(head -c "$size" "$segment") 4< <(head -c "$size" "$segment" | select_lines)
    bytes=0
    count=0
    while IFS= read -r line <&3; do
        count=$((count + 1))
        bytes=$((bytes + ${#line} + 1))
        read -r what seq prev <&4 || fail "line $count of $name cannot be read"
        case $what in
        other) continue ;;
        event) ;;
        foreign) fail "line $count of $name belongs to another ledger" ;;
        *) fail "line $count of $name is no line of a log" ;;
        esac
        [[ $seq == $((head_seq + 1)) ]] || fail "line $count of $name is event $seq, $((head_seq + 1)) is expected"
        [[ $prev == "$head_hash" ]] || fail "event $head_seq is not the one that event $seq names (line $count of $name)"
        head_seq=$seq
        head_hash=$(hash_of "$line")
        if [[ -n ${known[$seq]-} ]]; then
            [[ ${known[$seq]} == "$head_hash" ]] || fail "event $seq is not the one that is signed or expected (line $count of $name)"
            unset "known[$seq]"
        fi
    done
    # `read` leaves what no newline follows, and drops zero bytes, which the sum then lacks.
    unfinished=${#line}
    [[ $((bytes + unfinished)) -eq $size ]] || fail "$name holds zero bytes"
    [[ $unfinished -eq 0 || $number -eq $last ]] || fail "$name ends inside a line"
    exec 3<&- 4<&-
done

for seq in "${!known[@]}"; do
    fail "it ends with event $head_seq, $seq is signed or expected"
done
printf 'verified: stream %s/%s of ledger %s: %s events\n' "$tenant" "$env" "$ledger" "$head_seq"
if [[ $first_seq -gt 0 ]]; then
    printf 'dropped before cut %s: events 1 to %s\n' "$cut" "$first_seq"
fi
if [[ $unfinished -gt 0 ]]; then
    printf 'unfinished line at the end of the log: %s bytes\n' "$unfinished"
fi
if [[ $head_seq -gt 0 ]]; then
    printf 'head: %s/%s:%s:%s\n' "$tenant" "$env" "$head_seq" "$head_hash"
fi
