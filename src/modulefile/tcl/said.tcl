# What the commands of modulefiles return: all that Lmod has written so far, as a list of texts.

namespace eval ::said {
    variable texts {}
}

proc ::said::quoted {words} {
    set all {}
    foreach word $words {
        lappend all "\"[::host::escaped [string trimright $word "\r\n "]]\""
    }
    return [join $all ,]
}

proc ::said::modes {words} {
    set all {}
    foreach word [regexp -inline -all {\S+} $words] { lappend all "\"$word\"" }
    return "modeA=\{[join $all ,]\}"
}

proc ::said::path {function modes name value separator priority} {
    set mark [expr {[::host::since numbers] ? {} : "\""}]
    set text "$function\{\"$name\",\"$value\",delim=\"$separator\",priority=$mark$priority$mark"
    if {[::host::since options]} { append text , [modes $modes] }
    return "$text\}\n"
}

proc ::said::puts {channel text} {
    set mode [expr {$::host::mode eq "remove" ? "unload" : "load"}]
    switch -- $channel {
        stderr { return "LmodMsgRaw(\[===\[$text\]===\])" }
        stdout { return "execute\{cmd=\[===\[$text\]===\],modeA=\{\"$mode\"\}\}" }
        prestdout { return "io.stdout:write(\[===\[$text\]===\])" }
    }
    return $text
}

proc ::said::complete {shell name args} {
    set words {}
    foreach word $args { lappend words [::host::escaped [string trimright $word "\r\n "]] }
    if {[llength $args]} { return "complete(\"$shell\",\"$name\",\"[join $words]\")\n" }
    return "complete(\"$shell\",\"$name\")\n"
}

proc ::said::error {message} {
    return "LmodError(\[===\[$::host::file: ($::host::full_name): $message\]===\])\n"
}

# Adds what a record stands for, and returns everything.
proc ::said::add {kind words} {
    variable texts
    set rest [lrange $words 1 end]
    switch -- $kind {
        call { lappend texts "[lindex $words 0]([quoted $rest])\n" }
        modes {
            set call [lindex $words 0]
            if {[llength $words] > 2} {
                set inner "[modes [lindex $words 1]], [quoted [lrange $words 2 end]]"
                lappend texts "$call\{$inner\}\n"
            } else {
                lappend texts "${call}()\n"
            }
        }
        path { lappend texts [path {*}$words] }
        long { lappend texts "[lindex $words 0](\[===\[[lindex $words 1]\]===\])\n" }
        puts { lappend texts [puts {*}$words] \n }
        complete { lappend texts [complete {*}$words] }
        error { lappend texts [error [lindex $words 0]] }
    }
    return $texts
}
