: module export, module export-container and ml export-container for tcsh, by  eval backquote module-export hook tcsh backquote ;
: The alias of Lmod runs what LMOD_CMD names. The shell variable of that name, set here, puts a small step before Lmod ;
: while the environment variable still names Lmod, so this may come before or after the start-up file of Lmod. ;
: The step turns our words into one command of plain digits, which the shell runs by itself. ;
: This text does without comments, globs and line ends, as eval takes them away, and the list without blanks in a word. ;
setenv __MODULE_EXPORT_PROGRAM @MODULE_EXPORT@ ;
setenv __MODULE_EXPORT_STEP 'shell=$1; shift; flags=; ours=; while true; do case $1 in --protected_vars|--no_redirect|--redirect|-q) flags="$flags $1"; shift; continue;; --localvar) flags="$flags $1 $2"; shift 2; continue;; export-container) ours=1;; export) test "$shell" = ml || ours=1;; esac; break; done; if test "$ours"; then printf "\047%s\047 --argv-hex " "$__MODULE_EXPORT_PROGRAM"; printf "%s\000" "$@" | od -An -v -tx1 | tr -d " \n" | sed "s/00$//"; echo " ;"; exit; fi; if test "$shell" = ml; then exec "$LMOD_DIR/ml_cmd" "$@"; fi; exec "$LMOD_CMD" "$shell" $flags "$@"' ;
set LMOD_CMD = ( /bin/sh -c 'eval$IFS"$__MODULE_EXPORT_STEP"' sh ) ;
alias ml 'eval `$LMOD_CMD ml \!*`' ;
