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
