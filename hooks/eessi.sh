# For the end of an init script (EESSI's init/bash and init/lmod/{bash,zsh,ksh}, or a site's own):
#     [ -r DIR/hooks/eessi.sh ] && . DIR/hooks/eessi.sh
# Adds `module export …` to the shell that reads it. Silent, and without effect, where the program is
# missing or the shell is another one; safe under `set -eu`; leaves no variable behind.
__module_export_init() {
    # $1: the program, if it is not to be looked for
    if [ -n "${BASH_VERSION-}" ]; then
        set -- bash "$1"
    elif [ -n "${ZSH_VERSION-}" ]; then
        set -- zsh "$1"
    elif [ -n "${KSH_VERSION-}" ]; then
        set -- ksh "$1"
    else
        return 0
    fi
    if [ ! -x "$2" ]; then
        set -- "$1" "$(command -v module-export 2>/dev/null || :)"
    fi
    if [ -x "$2" ]; then
        set -- "$("$2" hook "$1" 2>/dev/null || :)"
        eval "$1" || :
    fi
    return 0
}
__module_export_init "${MODULE_EXPORT_BIN-}"
unset -f __module_export_init
