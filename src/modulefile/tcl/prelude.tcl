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
    # The environment that modulefiles begin with, as far as it has been asked for.
    variable base [dict create]
    # Names that the file may have changed; whether only a look at all variables can tell.
    variable touched [dict create]
    variable all_touched 0
    # The file has the environment; or has seen these variables of it.
    variable complete 1
    variable seen [dict create]
    # How the variables that commands have set are put back, as Lmod would.
    variable before [dict create]
    variable unset_before [dict create]
    variable file {}
    variable full_name {}
    variable user_name {}
    variable mode load
    variable identity
    array set identity {}
    # How many there have been.
    variable interpreters 0
    variable seconds 0
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

# What it returns is what Lmod's own command returns to a modulefile.
proc ::host::record {kind args} {
    variable records
    variable mode
    if {$mode eq "rc" || $kind in {failed leak note wrote}} {
        lappend records [linsert $args 0 $kind]
        return {}
    }
    set text [::said::text $kind $args]
    # Lmod ends what is printed on its own.
    if {$kind eq "puts"} {
        ::said::add $text
        append text \n
        set said [::said::add \n]
    } else {
        set said [::said::add $text]
    }
    if {$kind ne "error"} {
        set kind text
        set args [list $text]
    }
    lappend records [linsert $args 0 $kind]
    return $said
}

# Drops what has been said; what has been done stays done.
proc ::host::forget {} {
    variable records
    variable ::said::texts {}
    set records [lsearch -all -inline -regexp $records {^(note|wrote) }]
}

proc ::host::note {function text} {
    record note $function $text
}

proc ::host::since {feature} {
    variable features
    return [expr {[lsearch -exact $features $feature] >= 0}]
}

proc ::host::escaped {word} { return [string map {\\ \\\\ \t \\\t \" \\\" \n \\\n} $word] }

# ---- words that Lmod reads a second time as Tcl

# Lmod joins some words and evaluates the result. That is done here where it can do no harm.
proc ::host::again {text} {
    if {[regexp {^[A-Za-z0-9_./+@:=,%^~ -]*$} $text]} {
        return [regexp -inline -all {[^ ]+} $text]
    }
    set reader [new_guarded]
    interp eval $reader {
        proc ::tcl::words args {return $args}
        # No more variables than there are in Lmod's own procedure.
        proc ::tcl::again text { eval "::tcl::words $text" }
    }
    set code [catch {interp eval $reader [list ::tcl::again $text]} words]
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

# Each file costs what it changes: `touched` is kept by traces on the interpreter's `env`.
proc ::host::touch {array name operation} {
    variable touched
    if {$name ne {}} { dict set touched $name 1 }
}

proc ::host::set_variable {name value} {
    variable before
    variable unset_before
    if {[info exists ::env($name)]} {
        dict set before $name $::env($name)
    } else {
        dict set unset_before $name 1
    }
    touch env $name write
    set ::env($name) $value
}

# What Lmod does after a modulefile; it fails where a variable is gone.
proc ::host::put_back {} {
    variable before
    variable unset_before
    dict for {name value} $before { set ::env($name) $value }
    dict for {name one} $unset_before { unset ::env($name) }
}

# Takes over a change of the environment. What the file itself has set stays until its end.
proc ::host::change_base {words} {
    variable base
    variable touched
    foreach {kind name value kept tail} $words break
    set name [decode_value $name]
    switch -- $kind {
        set { set value [decode_value $value] }
        splice {
            # So many characters of the old value's beginning, then this, then so many of its end.
            set old [dict get $base $name]
            set value [string range $old 0 $kept-1][decode_value $value]
            append value [string range $old end-[expr {$tail - 1}] end]
        }
        unset {
            dict unset base $name
            if {![dict exists $touched $name]} { unset_in_process $name }
            return $name
        }
    }
    dict set base $name $value
    if {![dict exists $touched $name]} { set ::env($name) $value }
    return $name
}

# A variable that only another interpreter knows has to be known here before it can go.
proc ::host::unset_in_process {name} {
    set ::env($name) {}
    unset ::env($name)
}

# Gets what a file that was not given the environment needs of it: a variable, or (of an empty name)
# all of it. Returns the names whose values were not known.
proc ::host::need_environment {{name {}}} {
    variable complete
    variable touched
    variable seen
    if {$complete || [dict exists $touched $name] || [dict exists $seen $name]} { return {} }
    dict set seen $name 1
    if {$name eq {}} { set complete 1 }
    set names {}
    say_last "[encode environment] [encode $name]"
    while 1 {
        set words [next_line]
        if {[lindex $words 0] eq "done"} { return $names }
        lappend names [change_base $words]
    }
}

# The file's interpreter is about to read a variable, or to list all.
proc ::host::show_environment {child array name operation} {
    variable base
    variable touched
    foreach name [need_environment $name] {
        if {[dict exists $touched $name]} { continue }
        if {[dict exists $base $name]} {
            interp eval $child [list set ::env($name) [dict get $base $name]]
        } else {
            interp eval $child [list unset -nocomplain ::env($name)]
        }
        dict unset touched $name
    }
}

proc ::host::all_that_changed {} {
    variable all_touched
    variable touched
    variable base
    if {$all_touched} {
        foreach name [concat [array names ::env] [dict keys $base]] { dict set touched $name 1 }
    }
    return [lsort [dict keys $touched]]
}

proc ::host::restore_base {} {
    variable base
    variable touched
    variable all_touched
    foreach name [all_that_changed] {
        if {![dict exists $base $name]} {
            unset_in_process $name
        } elseif {[catch {set ::env($name)} value] || $value ne [dict get $base $name]} {
            set ::env($name) [dict get $base $name]
        }
    }
    set touched [dict create]
    set all_touched 0
}

# Where Lmod runs Tcl in its own process, what a modulefile leaves in the environment stays.
proc ::host::record_leaks {} {
    variable base
    foreach name [all_that_changed] {
        # A variable that another interpreter has unset still exists here, and cannot be read.
        if {[catch {set ::env($name)} value]} {
            record leak $name
        } elseif {![dict exists $base $name] || [dict get $base $name] ne $value} {
            record leak $name $value
        }
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

# ---- running a file

proc ::host::new_interpreter {pairs} {
    set child [new_guarded]
    foreach {name command} $pairs { interp alias $child $name {} {*}$command }
    # Where no list of a modulefile's own commands and namespaces shows it.
    interp alias $child ::tcl::host_touch {} ::host::touch
    interp alias $child ::tcl::host_environment {} ::host::show_environment $child
    interp eval $child {trace add variable ::env {write unset} ::tcl::host_touch}
    if {!$::host::complete} {
        interp eval $child {trace add variable ::env {read array} ::tcl::host_environment}
    }
    foreach {name value} [list ModuleTool Lmod ModuleToolVersion $::host::version] {
        interp eval $child [list set $name $value]
    }
    return $child
}

# An interpreter that can do no harm, and ends in time.
proc ::host::new_guarded {} {
    variable interpreters
    set child host[incr interpreters]
    ::guard::create $child
    interp limit $child time -seconds [expr {[clock seconds] + $::host::seconds}]
    return $child
}

# What an interpreter of the file's own does to the environment is not seen.
proc ::host::note_interp {} {
    variable all_touched 1
    need_environment
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
    interp eval $child {set returnVal 0}
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
        # Its variables are those that the file finds in Lmod.
        proc ::tcl::host_read {mRcFile} {
            global env ModuleTool ModuleToolVersion
            set version -1
            set found 0
            source $mRcFile
            if {[info exists ModulesVersion]} { return [list $ModulesVersion] }
            if {[info exists ModuleVersion]} { return [list $ModuleVersion] }
            if {$found > 0} { return [list $version] }
            return {}
        }
    }
    set code [catch {interp eval $child [list ::tcl::host_read $file]} found]
    set line [expr {$code ? [line_of_error $child $file] : 0}]
    interp delete $child
    if {$code} {
        record failed $found $line
    } elseif {[llength $found]} {
        record rc set_default_version [lindex $found 0]
    }
}

# ---- requests

# A question that is answered by yes or no.
proc ::host::ask {what name} {
    say_last "[encode $what] [encode $name]"
    return [expr {[lindex [next_line] 0] eq "yes"}]
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
    variable ::said::texts {}
    variable identity
    variable seen [dict create]
    variable complete
    variable attached
    variable features
    variable version
    variable mode
    variable file
    variable full_name
    variable user_name
    array unset identity
    variable seconds
    foreach {version features attached complete seconds} [decode_all [lrange $words 0 4]] break
    foreach {scratch mode file full_name user_name} [decode_all [lrange $words 5 9]] break
    cd $scratch
    if {$mode eq "rc"} {
        run_rc
    } else {
        run_modulefile
        set failed [expr {[since reset] && [catch put_back message]}]
        if {$failed} { record failed $message 0 }
    }
    if {$attached} { record_leaks }
    answer
    # Meanwhile the answer is being read.
    restore_base
}

proc ::host::decode_all {words} {
    set texts {}
    foreach word $words { lappend texts [decode $word] }
    return $texts
}

proc ::host::serve {} {
    while 1 {
        set words [next_line]
        if {[lindex $words 0] eq "run"} {
            request [lrange $words 1 end]
        } else {
            change_base $words
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
