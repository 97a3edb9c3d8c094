#!/usr/bin/env bash
# Prints what this machine can run:
#   eessi_archdetect.sh [-a] cpupath    CPU targets, best first, ending in generic (without -a: the best)
#   eessi_archdetect.sh accelpath       the accelerator's directory, or nothing
# EESSI_SOFTWARE_SUBDIR_OVERRIDE and EESSI_ACCELERATOR_TARGET_OVERRIDE are printed as they are;
# EESSI_MACHINE_TYPE and EESSI_PROC_CPUINFO stand in for the machine, in tests.
set -u
family=${EESSI_MACHINE_TYPE:-$(uname -m)}
specs=$(dirname "$(readlink -f "$0")")/arch_specs

has_all() { # FLAGS NEEDED...: whether every needed word is among the flags
    local flags=" $1 " word
    shift
    for word; do
        [[ $flags == *" $word "* ]] || return 1
    done
}

cpu_targets() {
    local cpuinfo=${EESSI_PROC_CPUINFO:-/proc/cpuinfo} maker flags target vendor needed found=""
    maker=$(grep -oPm1 '^vendor_id\s*:\s*\K.*' "$cpuinfo")
    flags=$(grep -oPm1 '^flags\s*:\s*\K.*' "$cpuinfo")
    while read -r target vendor needed; do
        # shellcheck disable=SC2086 # words on purpose
        if [[ $target == "$family"/* && $vendor == "$maker" ]] && has_all "$flags" $needed; then
            found=$target:$found
        fi
    done < <(sed -e 's/#.*//' -e 's/"//g' "$specs"/*.spec)
    echo "$found$family/generic"
}

case "$*" in
    "-a cpupath") echo "${EESSI_SOFTWARE_SUBDIR_OVERRIDE:-$(cpu_targets)}" ;;
    cpupath)
        all=${EESSI_SOFTWARE_SUBDIR_OVERRIDE:-$(cpu_targets)}
        echo "${all%%:*}"
        ;;
    accelpath) echo "${EESSI_ACCELERATOR_TARGET_OVERRIDE:-}" ;;
    *)
        echo "usage: eessi_archdetect.sh [-a] cpupath | accelpath" >&2
        exit 2
        ;;
esac
