# Sourced: daemons of the local cluster. A pid file holds "pid start-time", so a number that the system has given to
# another process since is never mistaken for ours.
# shellcheck shell=bash

# start_time PID: the kernel's start time of a process (clock ticks since boot), nothing when there is none.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) } # the name before it may hold blanks
  # a zombie is gone already
  [ "${stat%% *}" = Z ] || awk '{ print $20 }' <<<"$stat"
}

# record NAME PID: notes that PID is ours.
record() { echo "$2 $(start_time "$2")" >"$RUN/$1.pid"; }

# pid_of NAME: prints the pid when the process still runs, else fails.
pid_of() {
  local pid started
  [ -e "$RUN/$1.pid" ] || return 1
  read -r pid started <"$RUN/$1.pid" || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] || return 1
  echo "$pid"
}

# start NAME COMMAND…: in a session of its own (Ctrl-C in the terminal does not reach it), output to its log, without
# any other file that the caller or the caller's caller has open: a lock would be held for as long as it runs.
start() {
  local name=$1
  shift
  (close_files && exec setsid nohup "$@") >>"$LOG/$name.log" 2>&1 </dev/null &
  record "$name" $!
  disown
}

close_files() {
  local fd
  for fd in /proc/"$BASHPID"/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
  done
}

# stop NAME [SIGNAL]: sends SIGNAL (KILL unless told) and waits up to 10 s for the end.
stop() {
  local pid
  if pid=$(pid_of "$1"); then
    kill "-${2:-KILL}" "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      pid_of "$1" >/dev/null || break
      sleep 0.1
    done
    pid_of "$1" >/dev/null && kill -KILL "$pid" 2>/dev/null
  fi
  rm -f "$RUN/$1.pid"
}
