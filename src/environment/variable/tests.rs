use super::*;

fn list(name: &str, value: &str) -> Variable {
    list_with(name, value, ListRules::default())
}

fn list_with(name: &str, value: &str, rules: ListRules) -> Variable {
    let cleaning = Cleaning { home: "/home/u", blanks: Blanks::Trimmed, longest_row: 0 };
    let mut variable = Variable::new(name, Some(value), ":", rules, cleaning);
    variable.make_list(true, &Stored::default());
    variable
}

fn edit(value: &str) -> ListEdit<'_> {
    ListEdit { value, no_duplicates: true, priority: 0.0 }
}

#[test]
fn adding_an_element_again_moves_it() {
    let mut x = list("X", "/one:/two:/one");
    assert_eq!(x.value().as_deref(), Some("/one:/two"));
    x.append(edit("/one"));
    assert_eq!(x.value().as_deref(), Some("/two:/one"));
    x.prepend(edit("/one"));
    assert_eq!(x.value().as_deref(), Some("/one:/two"));
}

#[test]
fn an_element_goes_when_it_was_removed_as_often_as_added() {
    let mut x = list("X", "/one:/two");
    x.prepend(edit("/two"));
    x.remove(edit("/two"), Where::First, false);
    assert_eq!(x.value().as_deref(), Some("/two:/one"));
    x.remove(edit("/two"), Where::First, false);
    assert_eq!(x.value().as_deref(), Some("/one"));
    x.prepend(edit("/one"));
    x.remove(edit("/one"), Where::All, true);
    assert_eq!(x.value(), None);
}

#[test]
fn a_list_keeps_its_order_unless_blocks_are_reversed() {
    let mut x = list("X", "/z");
    x.prepend(edit("/a:/b:/c"));
    assert_eq!(x.value().as_deref(), Some("/a:/b:/c:/z"));
    let mut x = list_with("X", "/z", ListRules { reverse_blocks: true, ..ListRules::default() });
    x.prepend(edit("/a:/b:/c"));
    assert_eq!(x.value().as_deref(), Some("/c:/b:/a:/z"));
}

#[test]
fn priorities_order_before_places() {
    let mut x = list("X", "/z");
    x.prepend(ListEdit { priority: -10.0, ..edit("/first") });
    x.prepend(edit("/second"));
    x.append(ListEdit { priority: 10.0, ..edit("/last") });
    x.append(edit("/late"));
    assert_eq!(x.value().as_deref(), Some("/first:/second:/z:/late:/last"));
}

#[test]
fn empty_elements_are_written_as_lmod_does() {
    for (name, value, want) in [
        ("X", "", "::"),
        ("X", "/a:", "/a::"),
        ("X", "/a::/b", "/a::/b"),
        ("PATH", ":/a::/b:", "/a:/b"),
    ] {
        let cleaning = Cleaning { home: "/home/u", blanks: Blanks::Trimmed, longest_row: 0 };
        let mut x = Variable::new(name, None, ":", ListRules::default(), cleaning);
        x.make_list(true, &Stored::default());
        x.prepend(edit(value));
        assert_eq!(x.value().as_deref(), Some(want), "{name}={value}");
    }
}

#[test]
fn an_old_element_keeps_its_place_where_the_site_says_so() {
    let mut x = list_with("X", "/a:/b", ListRules { keep_place: true, ..ListRules::default() });
    x.prepend(edit("/b"));
    assert_eq!(x.value().as_deref(), Some("/a:/b"));
}

#[test]
fn duplicates_stay_where_they_are_allowed() {
    let cleaning = Cleaning { home: "/home/u", blanks: Blanks::Trimmed, longest_row: 0 };
    let mut x = Variable::new("X", Some("/a:/b"), ":", ListRules::default(), cleaning);
    x.make_list(false, &Stored::default());
    let again = ListEdit { no_duplicates: false, ..edit("/a") };
    x.append(again);
    assert_eq!(x.value().as_deref(), Some("/a:/b:/a"));
    x.remove(again, Where::Last, false);
    assert_eq!(x.value().as_deref(), Some("/a:/b"));
}

#[test]
fn what_was_done_since_a_mark_can_be_undone() {
    type Step = fn(&mut Variable);
    let steps: [Step; 8] = [
        |x| drop(x.prepend(edit("/a:/two"))),
        |x| drop(x.append(edit("/one:/z"))),
        |x| drop(x.append(ListEdit { no_duplicates: false, ..edit("/two") })),
        |x| drop(x.remove(edit("/one:/none"), Where::First, false)),
        |x| drop(x.remove(edit("/two"), Where::All, true)),
        |x| x.set(Some("/text".to_owned())),
        |x| x.make_list(true, &Stored::default()),
        |x| drop(x.prepend(ListEdit { priority: -10.0, ..edit("/text:/b") })),
    ];
    let mut x = list("X", "/one:/two:/one");
    x.settle();
    let mut before = Vec::new();
    for step in steps {
        before.push((x.mark(), x.clone()));
        step(&mut x);
        assert!(x.mark() > before.last().unwrap().0);
    }
    let mut whole = x.clone();
    whole.undo_to(0);
    assert_eq!(whole, before[0].1);
    for (mark, then) in before.into_iter().rev() {
        x.undo_to(mark);
        assert_eq!((x.value(), &x), (then.value(), &then));
    }
}

#[test]
fn what_is_settled_cannot_be_undone() {
    let mut x = list("X", "/one");
    x.append(edit("/two"));
    x.settle();
    x.undo_to(0);
    assert_eq!((x.value().as_deref(), x.mark()), (Some("/one:/two"), 0));
}
