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

# What Lmod writes for a record.
proc ::said::text {kind words} {
    set rest [lrange $words 1 end]
    switch -- $kind {
        call { return "[lindex $words 0]([quoted $rest])\n" }
        modes {
            set call [lindex $words 0]
            if {[llength $words] < 3} { return "${call}()\n" }
            return "$call\{[modes [lindex $words 1]], [quoted [lrange $words 2 end]]\}\n"
        }
        path { return [path {*}$words] }
        long { return "[lindex $words 0](\[===\[[lindex $words 1]\]===\])\n" }
        puts { return [puts {*}$words] }
        complete { return [complete {*}$words] }
        error { return [error [lindex $words 0]] }
    }
}

# Adds a text, and returns all.
proc ::said::add {text} {
    variable texts
    lappend texts $text
    return $texts
}
