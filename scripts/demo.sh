# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A complete plant on this machine: broker, simulated waterworks, gateway with console. Everything
# listens on loopback and lives in build/demo; what is started here is ended here.

# The addresses in examples/waterworks. One that is taken is replaced in the copy that runs.
readonly DEMO_PLC_PORTS=(15020 15021)
readonly DEMO_BROKER_PORT=11883
readonly DEMO_CONSOLE_PORT=8480
readonly DEMO=build/demo

demo_names=() # in the order of their start
demo_pids=()
declare -A demo_port # port in the example → port in use

cmd_demo() {
    help_wanted "usage: ./run demo [SIM OPTION…]

Builds the program and starts a simulated waterworks, an MQTT broker and a gateway with its console;
Ctrl-C ends all. The configuration is a copy of examples/waterworks in build/demo/plant, the
collected history stays there from one start to the next. Options go to 'isthmus sim waterworks',
which then also writes the configuration: ./run demo --tags 1000." "$@"
    need demo
    need_peers mosquitto
    build_program
    trap demo_stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    demo_configure "$@"
    demo_start broker "${demo_port[$DEMO_BROKER_PORT]}" \
        "$PEERS/bin/mosquitto" -c "$DEMO/mosquitto.conf"
    demo_start waterworks "${demo_port[${DEMO_PLC_PORTS[-1]}]}" \
        build/isthmus sim waterworks --ports "$(demo_plc_ports)" "$@"
    demo_start gateway "${demo_port[$DEMO_CONSOLE_PORT]}" build/isthmus run "$DEMO/plant"
    demo_welcome
    demo_watch
}

# The copy of the example, or what the simulator writes for these options, with ports that are free.
demo_configure() {
    local port edits=()
    mkdir -p "$DEMO/plant" "$DEMO/logs"
    cp -rT examples/waterworks "$DEMO/plant"
    (($# == 0)) || build/isthmus sim waterworks "$@" --write-config "$DEMO/plant"
    for port in "${DEMO_PLC_PORTS[@]}" "$DEMO_BROKER_PORT" "$DEMO_CONSOLE_PORT"; do
        demo_port[$port]=$(free_port "$port")
        edits+=(-e "s/\\b$port\\b/${demo_port[$port]}/g")
    done
    find "$DEMO/plant" -maxdepth 2 \( -name '*.yaml' -o -name '*.csv' \) -exec sed -i "${edits[@]}" {} +
    demo_sign
    # It stays the user that it is: changing that would lose the wish to end with its parent.
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nuser %s\n' \
        "${demo_port[$DEMO_BROKER_PORT]}" "$(id -un)" >"$DEMO/mosquitto.conf"
}

# Both sides of the contract sign it, with keys that are good for nothing else.
demo_sign() {
    local side
    local -A people=([owner]=operations [custodian]='data team')
    for side in owner custodian; do
        rm -f "$DEMO/$side.key"
        build/isthmus contract keygen "$DEMO/$side.key" --name "${people[$side]}" --as "$side" \
            --throw-away >"$DEMO/plant/key-$side.yaml" 2>/dev/null
    done
    for side in owner custodian; do
        build/isthmus contract sign "$DEMO/plant" pumps-and-tanks --key "$DEMO/$side.key" \
            --as "$side" >/dev/null
    done
    say "Both sides have signed the contract pumps-and-tanks, with throw-away keys"
}

demo_plc_ports() {
    local port ports=()
    for port in "${DEMO_PLC_PORTS[@]}"; do
        ports+=("${demo_port[$port]}")
    done
    (IFS=, && echo "${ports[*]}")
}

# The port that is wished for, if nobody has it, else any free one.
free_port() {
    /usr/bin/python3 - "$1" <<'END'
import socket, sys
for port in (int(sys.argv[1]), 0):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(probe.getsockname()[1])
        break
END
}

# demo_start NAME PORT COMMAND…: starts it in a session of its own, so that Ctrl-C reaches only this
# script and the order of the end is ours, and waits until it listens. It ends with us, come what may.
demo_start() {
    local name=$1 port=$2 pid deadline=$((SECONDS + 30))
    shift 2
    step "Starting the $name"
    setsid setpriv --pdeathsig TERM "$@" >"$DEMO/logs/$name.log" 2>&1 </dev/null &
    pid=$!
    demo_names+=("$name")
    demo_pids+=("$pid")
    until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || demo_failed "$name" "ended"
        ((SECONDS < deadline)) || demo_failed "$name" "does not listen on port $port"
        sleep 0.05
    done
}

# demo_failed NAME WHAT
demo_failed() {
    tail -n 20 "$DEMO/logs/$1.log" >&2
    die "$EXIT_FAILED" "the $1 $2; its output is in $DEMO/logs/$1.log"
}

demo_welcome() {
    cat >&2 <<END

The waterworks is running. Its console:   http://127.0.0.1:${demo_port[$DEMO_CONSOLE_PORT]}/

Try next, in another terminal:
    export ISTHMUS_SOCKET=$PWD/$DEMO/plant/.state/isthmus.sock
    build/isthmus status                    what runs, and how well
    build/isthmus devices                   the two PLCs
    build/isthmus watch '**/level'          values as they come
    build/isthmus check $DEMO/plant      the configuration, which is yours to change
    build/isthmus contract show $DEMO/plant pumps-and-tanks
                                            what leaves the plant, and who has signed

The cloud side, as any MQTT client sees it (package mosquitto-clients):
    mosquitto_sub -p ${demo_port[$DEMO_BROKER_PORT]} -t 'spBv1.0/#' -F '%t  %l bytes'

The broker listens on 127.0.0.1:${demo_port[$DEMO_BROKER_PORT]}; logs are in $DEMO/logs. Ctrl-C ends everything.
END
}

# Until one of them ends, which none does by itself.
demo_watch() {
    local ended='' i
    wait -n -p ended "${demo_pids[@]}" || true
    for i in "${!demo_pids[@]}"; do
        [[ ${demo_pids[i]} != "$ended" ]] || demo_failed "${demo_names[i]}" "ended"
    done
}

# Ends all in the reverse order; who is not gone after 5 s is killed.
demo_stop() {
    local i deadline
    trap '' INT TERM HUP
    for ((i = ${#demo_pids[@]} - 1; i >= 0; i--)); do
        kill -TERM "${demo_pids[i]}" 2>/dev/null || continue
        say "Stopping the ${demo_names[i]}"
        deadline=$((SECONDS + 6))
        while kill -0 "${demo_pids[i]}" 2>/dev/null; do
            ((SECONDS < deadline)) || kill -KILL "${demo_pids[i]}" 2>/dev/null || true
            sleep 0.05
        done
        wait "${demo_pids[i]}" 2>/dev/null || true
    done
}
