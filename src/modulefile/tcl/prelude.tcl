# Runs Tcl modulefiles and rc files, and answers with the calls that they make.
#
# A line, either way, is words with a blank between them; each word is `x` and its bytes in
# hexadecimal. An answer ends with a line whose first word is `end`. Whatever a modulefile prints
# itself goes to /dev/null: nothing but this file writes answers.

namespace eval ::host {
    variable records {}
    # What the Lmod that is followed can do.
    variable features {}
    # Characters are written as UTF-8: the modulefile is translated within Lmod's own process.
    variable attached 0
    # The environment that modulefiles begin with.
    variable base [dict create]
    # How the variables that commands have set are put back, as Lmod would.
    variable before [dict create]
    variable unset_before [dict create]
    variable file {}
    variable full_name {}
    variable user_name {}
    variable mode load
    variable loaded
    array set loaded {}
    variable available {}
    variable known_available 0
    variable identity
    array set identity {}
}

# ---- words and lines

proc ::host::encode {text} {
    variable attached
    set encoding [expr {$attached ? "utf-8" : [encoding system]}]
    if {[catch {encoding convertto $encoding $text} bytes]} {
        set bytes [encoding convertto utf-8 $text]
    }
    binary scan $bytes H* digits
    return x$digits
}

proc ::host::decode {word} {
    variable attached
    set bytes [binary format H* [string range $word 1 end]]
    set encoding [expr {$attached ? "utf-8" : [encoding system]}]
    if {[catch {encoding convertfrom $encoding $bytes} text]} { return $bytes }
    return $text
}

# Variables are always read as the system writes them.
proc ::host::decode_value {word} {
    set bytes [binary format H* [string range $word 1 end]]
    if {[catch {encoding convertfrom [encoding system] $bytes} text]} { return $bytes }
    return $text
}

proc ::host::say {line} {
    variable out
    puts $out $line
}

# Nothing is seen before it is flushed.
proc ::host::say_last {line} {
    variable out
    puts $out $line
    flush $out
}

proc ::host::record {kind args} {
    variable records
    lappend records [linsert $args 0 $kind]
    return {}
}

proc ::host::note {function text} {
    record note $function $text
}

proc ::host::since {feature} {
    variable features
    return [expr {[lsearch -exact $features $feature] >= 0}]
}

# ---- words that Lmod reads a second time as Tcl

# Lmod joins some words and evaluates the result. That is done here where it can do no harm.
proc ::host::again {text} {
    if {[regexp {^[A-Za-z0-9_./+@:=,%^~ -]*$} $text]} {
        return [regexp -inline -all {[^ ]+} $text]
    }
    set reader [interp create]
    interp eval $reader {proc words args {return $args}}
    set code [catch {interp eval $reader "words $text"} words]
    interp delete $reader
    if {$code} { return -code error $words }
    return $words
}

proc ::host::again_all {words} {
    set all {}
    foreach word $words {
        foreach one [again $word] { lappend all $one }
    }
    return $all
}

# ---- the environment

proc ::host::set_variable {name value} {
    variable before
    variable unset_before
    if {[info exists ::env($name)]} {
        dict set before $name $::env($name)
    } else {
        dict set unset_before $name 1
    }
    set ::env($name) $value
}

# What Lmod does after a modulefile; it fails where a variable is gone.
proc ::host::put_back {} {
    variable before
    variable unset_before
    dict for {name value} $before { set ::env($name) $value }
    dict for {name one} $unset_before { unset ::env($name) }
}

proc ::host::restore_base {} {
    variable base
    foreach name [array names ::env] {
        if {![dict exists $base $name]} { unset -nocomplain ::env($name) }
    }
    dict for {name value} $base {
        if {![info exists ::env($name)] || $::env($name) ne $value} { set ::env($name) $value }
    }
}

# Where Lmod runs Tcl in its own process, what a modulefile leaves in the environment stays.
proc ::host::record_leaks {} {
    variable base
    foreach name [lsort [array names ::env]] {
        if {![dict exists $base $name] || [dict get $base $name] ne $::env($name)} {
            record leak $name $::env($name)
        }
    }
    dict for {name value} $base {
        if {![info exists ::env($name)]} { record leak $name }
    }
}

# ---- options of commands

# Sets modes, respect and separator where the caller can see them, and returns the other words.
proc ::host::options {words} {
    upvar 1 modes modes respect respect separator separator
    set modes normal
    set respect {}
    set separator :
    set rest {}
    set key {}
    foreach word $words {
        if {$key ne {}} {
            set $key $word
            set key {}
            continue
        }
        switch -glob -- $word {
            -r - -respect - --respect { set respect true }
            -mode - --mode { set key modes }
            --delim=* { set separator [string range $word 8 end] }
            -d - -delim - --delim { set key separator }
            default { lappend rest $word }
        }
    }
    return $rest
}

proc ::host::one_mode {modes} {
    return [expr {[regexp -inline -all {\S+} $modes] eq "normal"}]
}

# ---- commands of modulefiles

namespace eval ::command {}

proc ::command::setenv_options {args} {
    set words [::host::options $args]
    foreach {name value} [list [lindex $words 0] [lindex $words 1]] break
    if {$::host::mode eq "load"} { ::host::set_variable $name $value }
    if {$respect eq "true"} {
        ::host::record modes setenv $modes $name $value true
    } elseif {[::host::one_mode $modes]} {
        ::host::record call setenv $name $value
    } else {
        ::host::record modes setenv $modes $name $value
    }
}

proc ::command::setenv_plain {name value args} {
    if {$name in {-respect -r --respect}} {
        # Lmod passes its own option over, and with it the name.
        ::host::record call setenv [lindex $args 0] [lindex $args 1] true
        return
    }
    if {$::host::mode eq "load"} { ::host::set_variable $name $value }
    ::host::record call setenv $name $value
}

proc ::host::unset_variable {name value} {
    variable mode
    if {$mode eq "load"} {
        unset -nocomplain ::env($name)
    } elseif {$mode eq "remove" && $value ne {}} {
        set_variable $name $value
    }
}

proc ::command::unsetenv_options {args} {
    set words [::host::options $args]
    set name [lindex $words 0]
    ::host::unset_variable $name [lindex $words 1]
    if {[::host::one_mode $modes]} {
        ::host::record call unsetenv $name
    } else {
        ::host::record modes unsetenv $modes $name [lindex $words 1]
    }
}

proc ::command::unsetenv_plain {name {value {}}} {
    ::host::unset_variable $name $value
    ::host::record call unsetenv $name $value
}

proc ::command::pushenv_options {args} {
    set words [::host::options $args]
    foreach {name value} [list [lindex $words 0] [lindex $words 1]] break
    ::host::set_variable $name $value
    if {[::host::one_mode $modes]} {
        ::host::record call pushenv $name $value
    } else {
        ::host::record modes pushenv $modes $name $value
    }
}

proc ::command::pushenv_plain {name value} {
    ::host::set_variable $name $value
    ::host::record call pushenv $name $value
}

proc ::host::path_options {function args} {
    set words [options $args]
    foreach {name value priority} [list [lindex $words 0] [lindex $words 1] [lindex $words 2]] break
    if {[string match $priority {}]} { set priority 0 }
    record path $function $modes $name $value $separator $priority
}

proc ::host::path_plain {function name value args} {
    if {[string match --delim=* $name]} {
        set separator [string range $name 8 end]
        set words [linsert $args 0 $value]
    } elseif {$name in {-delim -d --delim}} {
        set separator $value
        set words $args
    } else {
        set separator :
        set words [linsert $args 0 $name $value]
    }
    foreach {name value priority} [list [lindex $words 0] [lindex $words 1] [lindex $words 2]] break
    if {[string match $priority {}]} { set priority 0 }
    record path $function normal $name $value $separator $priority
}

proc ::command::getenv {name} {
    if {[info exists ::env($name)]} { return $::env($name) }
    return {}
}

proc ::command::set-alias {name value} { ::host::record call set_alias $name $value }
proc ::command::unset-alias {name} { ::host::record call unset_alias $name }
proc ::command::set-function {name value} { ::host::record call set_shell_function $name $value {} }
proc ::command::unset-function {name} { ::host::record call unset_shell_function $name {} {} }
proc ::command::add-property {name value} { ::host::record call add_property $name $value }
proc ::command::remove-property {name value} { ::host::record call remove_property $name $value }
proc ::command::family {name} { ::host::record call family $name }
proc ::command::require-fullname {} { ::host::record call requireFullName }
proc ::command::haveDynamicMPATH {} { ::host::record call haveDynamicMPATH }
proc ::command::report {message} { ::host::record long LmodMessage $message }
proc ::command::reportError {message} { ::host::record error $message 0 }
proc ::command::module-help {args} { ::host::record long help [join $args] }

proc ::host::listed {function args} { record call $function {*}$args }

proc ::command::module-whatis {args} {
    set text [string map [list \n " "] [join $args " "]]
    ::host::record long whatis [string trimright $text]
}

proc ::command::complete {shell name args} { ::host::record complete $shell $name {*}$args }

proc ::command::extensions {args} {
    if {[llength $args]} { ::host::record extensions {*}$args }
}

proc ::command::exit {{code 1}} { ::host::record call os.exit {*}[::host::again $code] }
proc ::command::myBreak {args} { ::host::record call LmodBreak {} }
proc ::command::initGA {} { set ::host::records {} }
proc ::command::setPutMode {value} {}
proc ::command::showResults {} {}

proc ::command::versioncmp {one other} {
    if {$one eq $other} { return 0 }
    return [expr {[lindex [lsort -dictionary [list $one $other]] 0] eq $one ? -1 : 1}]
}

proc ::command::is-loaded {name} { return [info exists ::host::loaded($name)] }

proc ::command::is-avail {name} {
    if {!$::host::known_available} {
        set ::host::available [::host::ask available]
        set ::host::known_available 1
    }
    return [expr {[lsearch -exact $::host::available $name] >= 0}]
}

proc ::command::module-info {what {more {}}} {
    switch -- $what {
        mode {
            if {$more ne {}} { return [expr {$::host::mode == $more}] }
            return $::host::mode
        }
        shell {
            if {$more ne {} && [::host::since shell]} { return [expr {$more eq "bash"}] }
            return bash
        }
        shelltype { return sh }
        flags { return 0 }
        name { return $::host::full_name }
        user - symbols { return [expr {$more ne {} ? 0 : {}}] }
        specified { return $::host::user_name }
        version {
            regexp {([^/]*)/?(.*)} $more all name version
            if {$version eq {}} { set version default }
            return $name/$version
        }
    }
    error "module-info $what not supported"
}

proc ::command::system {args} {
    if {$::host::mode ne "load"} { return {} }
    set text [join $args]
    ::host::note system $text
    if {[catch {exec /bin/sh -c $text}]} { return [lindex $::errorCode 2] }
    return 0
}

proc ::command::uname {what} {
    switch -- $what {
        sysname { return $::tcl_platform(os) }
        machine { return $::tcl_platform(machine) }
        nodename - node { return [info hostname] }
        release { return $::tcl_platform(osVersion) }
        domain { return [exec /bin/domainname] }
        version { return [exec /bin/uname -v] }
        default { return {} }
    }
}

proc ::command::puts {args} {
    set usage {puts ?-nonewline? ?channel? text}
    set same_line 0
    set channel stdout
    set text [lindex $args end]
    switch [llength $args] {
        1 {}
        2 {
            if {[lindex $args 0] eq "-nonewline"} {
                set same_line 1
            } else {
                set channel [lindex $args 0]
            }
        }
        3 {
            set same_line 1
            if {[lindex $args 0] eq "-nonewline"} {
                set channel [lindex $args 1]
            } elseif {[lindex $args 1] eq "-nonewline"} {
                set channel [lindex $args 0]
            } else {
                error $usage
            }
        }
        default { error $usage }
    }
    if {!$same_line && $channel ne "stdout"} { append text \n }
    ::host::record puts $channel $text
}

# ---- the command `module`

proc ::host::load_words {function words} {
    if {[since options]} {
        set rest [options $words]
        record modes $function $modes {*}[again_all $rest]
    } else {
        record call $function {*}$words
    }
}

proc ::host::unload_words {words} {
    variable mode
    load_words [expr {$mode eq "remove" ? "load" : "unload"}] $words
}

proc ::host::swap_words {old {new {}}} {
    if {$new eq {}} { set new $old }
    record call unload {*}[again $old]
    record call load {*}[again $new]
}

proc ::host::use_words {words} {
    set function prepend_path
    foreach word $words {
        switch -- $word {
            {} {}
            --append - -a - -append { set function append_path }
            --prepend - -p - -prepend { set function prepend_path }
            default { record call $function MODULEPATH {*}[again $word] }
        }
    }
}

proc ::command::module {command args} {
    switch -- $command {
        load - add { ::host::load_words load $args }
        load-any { ::host::load_words load_any $args }
        try-load - try-add { ::host::load_words try_load $args }
        unload - del - rm { ::host::unload_words $args }
        swap - switch { ::host::swap_words {*}$args }
        use { ::host::use_words $args }
        unuse {
            foreach word $args { ::host::record call remove_path MODULEPATH {*}[::host::again $word] }
        }
        purge {
            if {![::host::since unknown]} { return }
            if {[llength $args]} { error {wrong # args: should be "purge"} }
            ::host::record call purge
        }
        default {
            if {[::host::since unknown]} {
                ::host::record error "Unknown module command: $command" 0
            }
        }
    }
    return {}
}

# ---- which command stands for which

proc ::host::commands {} {
    set names {
        add-property complete exit extensions family initGA is-loaded is-avail module module-info
        module-whatis myBreak puts remove-property reportError require-fullname set-alias
        set-function setPutMode showResults system uname unset-alias unset-function versioncmp
    }
    set pairs {}
    foreach name $names { lappend pairs $name ::command::$name }
    lappend pairs myPuts ::command::puts
    set form [expr {[since options] ? "options" : "plain"}]
    foreach name {setenv unsetenv pushenv} { lappend pairs $name ::command::${name}_$form }
    foreach {name function} {
        prepend-path prepend_path append-path append_path remove-path remove_path
    } {
        lappend pairs $name [list ::host::path_$form $function]
    }
    foreach {name function} {
        always-load always_load conflict conflict depends-on depends_on
        prereq prereq_any prereq-any prereq_any
    } {
        lappend pairs $name [list ::host::listed $function]
    }
    if {[since any]} { lappend pairs depends-on-any {::host::listed depends_on_any} }
    foreach {feature name} {
        getenv getenv dynamic haveDynamicMPATH help module-help help report
    } {
        if {[since $feature]} { lappend pairs $name ::command::$name }
    }
    return $pairs
}

# ---- commands of rc files

namespace eval ::rc {}

proc ::rc::module-version {args} {
    if {[llength $args] < 2} { error {can't read "argL": no such variable} }
    ::host::record version {*}$args
}
proc ::rc::module-alias {name target} { ::host::record rc module_alias $name $target }
proc ::rc::module-virtual {name target} { ::host::record rc module_virtual $name $target }
proc ::rc::hide-version {name} { ::host::record rc hide_version $name }
proc ::rc::hide-modulefile {name} { ::host::record rc hide_modulefile $name }

# Conditions as key and value, then the names.
proc ::rc::conditions {words} {
    set found [dict create]
    set names {}
    set key {}
    foreach word $words {
        if {$key ne {}} {
            dict set found $key $word
            set key {}
            continue
        }
        switch -- $word {
            --before - --after - --user - --group - --not-user - --not-group -
            --message - --nearly-message { set key [string range $word 2 end] }
            --hard - --soft { dict set found kind [string range $word 2 end] }
            --hidden-loaded { dict set found hidden-loaded true }
            default { lappend names $word }
        }
    }
    return [list $found $names]
}

proc ::rc::conditional {function kind args} {
    foreach {found names} [conditions $args] break
    if {$kind ne {} && ![dict exists $found kind]} { dict set found kind $kind }
    foreach name $names { ::host::record conditional $function $name {*}$found }
}

proc ::rc::nothing {args} {}

proc ::rc::own {what command} {
    upvar ::host::identity identity
    # A second question gets the name of Lmod's own variable.
    if {[info exists identity($what)]} { return ::g_states($what) }
    set identity($what) [exec {*}$command]
    return $identity($what)
}

proc ::rc::module-info {what {more {}}} {
    switch -- $what {
        username {
            set own [own username {id -u -n}]
            if {$more eq {}} { return $own }
            return [expr {$own eq $more}]
        }
        usergroups {
            set own [own usergroups {id -G -n}]
            if {$more eq {}} { return $own }
            return [expr {$more in $own}]
        }
    }
    error "module-info $what not supported"
}

proc ::rc::puts {args} {
    set words $args
    if {[lindex $words 0] eq "-nonewline"} { set words [lrange $words 1 end] }
    if {[llength $words] == 1 || [lindex $words 0] eq "stdout"} {
        ::host::record printed [lindex $words end]
    }
}

proc ::rc::commands {} {
    set pairs {puts ::rc::puts}
    foreach name {module-version module-alias hide-version hide-modulefile} {
        lappend pairs $name ::rc::$name
    }
    foreach {feature name command} {
        rc-accepted module-hide ::rc::nothing
        rc-accepted module-forbid ::rc::nothing
        rc-hide module-hide {::rc::conditional hide hidden}
        rc-hide module-forbid {::rc::conditional forbid {}}
        rc-patterns module-hide-regex {::rc::conditional hideRegex {}}
        rc-patterns module-forbid-regex {::rc::conditional forbidRegex {}}
        rc-virtual module-virtual ::rc::module-virtual
        rc-info module-info ::rc::module-info
    } {
        if {[::host::since $feature]} { lappend pairs $name $command }
    }
    return $pairs
}

# ---- running a file

proc ::host::new_interpreter {pairs} {
    set child [interp create]
    foreach {name command} $pairs { interp alias $child $name {} {*}$command }
    interp alias $child ::module_export_exec {} ::host::note_exec
    interp eval $child {trace add execution exec enter ::module_export_exec}
    if {[since no-commands]} {
        interp alias $child exec {} ::host::refuse exec
        interp alias $child system {} ::host::refuse system
        interp hide $child open
        interp alias $child open {} ::host::open_file $child
    }
    foreach {name value} [list ModuleTool Lmod ModuleToolVersion $::host::version] {
        interp eval $child [list set $name $value]
    }
    return $child
}

# Where no commands may run.
proc ::host::refuse {function args} {
    note $function [join $args]
    error "commands may not run"
}

proc ::host::open_file {child name args} {
    if {[string index $name 0] eq "|"} { refuse open $name }
    return [interp invokehidden $child open $name {*}$args]
}

proc ::host::note_exec {command operation} {
    note exec [join [lrange $command 1 end]]
}

# The line of the file at which the last error of an interpreter arose, or 0.
proc ::host::line_of_error {child file} {
    set line 0
    if {[catch {interp eval $child {set ::errorInfo}} trace]} { return 0 }
    foreach {all where number} [regexp -inline -all {\(file "([^\n]*)" line (\d+)\)} $trace] {
        if {$where eq $file} { set line $number }
    }
    return $line
}

proc ::host::run_modulefile {} {
    variable file
    set child [new_interpreter [commands]]
    foreach {name value} [list ModulesCurrentModulefile $file g_help 0 g_shellType sh g_shellName bash] {
        interp eval $child [list set $name $value]
    }
    set code [interp eval $child {catch {source $ModulesCurrentModulefile} errorMsg}]
    set message [interp eval $child {set errorMsg}]
    set line [line_of_error $child $file]
    interp delete $child
    if {$code == 0 || $code == 4 || ($code && $message eq {invoked "continue" outside of a loop})} {
        return
    }
    if {$code == 3 || $message eq {invoked "break" outside of a loop}} {
        record call LmodBreak {}
    } else {
        record error $message $line
    }
}

proc ::host::run_rc {} {
    variable file
    set child [new_interpreter [::rc::commands]]
    interp eval $child {
        proc ::module_export_read {file} {
            global env ModuleTool ModuleToolVersion
            source $file
            if {[info exists ModulesVersion]} { return [list $ModulesVersion] }
            if {[info exists ModuleVersion]} { return [list $ModuleVersion] }
            return {}
        }
    }
    set code [catch {interp eval $child [list ::module_export_read $file]} found]
    set line [expr {$code ? [line_of_error $child $file] : 0}]
    interp delete $child
    if {$code} {
        record failed $found $line
    } elseif {[llength $found]} {
        record rc set_default_version [lindex $found 0]
    }
}

# ---- requests

proc ::host::ask {what} {
    say_last [encode $what]
    set words {}
    foreach word [next_line] { lappend words [decode $word] }
    return $words
}

proc ::host::next_line {} {
    variable in
    if {[gets $in line] < 0} { ::exit }
    return [split $line]
}

proc ::host::answer {} {
    variable records
    foreach words $records {
        set line {}
        foreach word $words { lappend line [encode $word] }
        say [join $line]
    }
    say_last [encode end]
    set records {}
}

proc ::host::request {words} {
    variable before [dict create]
    variable unset_before [dict create]
    variable known_available 0
    variable identity
    variable loaded
    variable attached
    variable features
    variable version
    variable mode
    variable file
    variable full_name
    variable user_name
    array unset identity
    array unset loaded
    foreach {version features attached} [decode_all [lrange $words 0 2]] break
    foreach {scratch mode file full_name user_name} [decode_all [lrange $words 3 7]] break
    foreach name [decode_all [lrange $words 8 end]] { set loaded($name) 1 }
    cd $scratch
    restore_base
    if {$mode eq "rc"} {
        run_rc
    } else {
        run_modulefile
        set failed [expr {[since reset] && [catch put_back message]}]
        if {$failed} { record failed $message 0 }
    }
    if {$attached} { record_leaks }
    answer
}

proc ::host::decode_all {words} {
    set texts {}
    foreach word $words { lappend texts [decode $word] }
    return $texts
}

proc ::host::serve {} {
    variable base
    while 1 {
        set words [next_line]
        set rest [lrange $words 1 end]
        switch -- [lindex $words 0] {
            set { dict set base [decode_value [lindex $rest 0]] [decode_value [lindex $rest 1]] }
            unset { dict unset base [decode_value [lindex $rest 0]] }
            run { request $rest }
        }
    }
}

# Answers have a channel of their own; what is left to modulefiles is /dev/null.
proc ::host::open_channels {} {
    variable in
    variable out
    if {[catch {open /dev/stdout w} out] || [catch {open /dev/stdin r} in]} {
        set out stdout
        set in stdin
        return
    }
    close stdin
    open /dev/null r
    close stdout
    open /dev/null w
    fconfigure $out -buffering full -translation lf -encoding utf-8
    fconfigure $in -translation lf -encoding utf-8
}

# One command: `tclsh` reads this file from stdin, and would end where that is closed.
proc ::host::main {} {
    open_channels
    say_last ready
    serve
}

::host::main
