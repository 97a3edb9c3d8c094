//! A variable as a module session sees it: one text, or a list of path elements with counts and
//! priorities.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::path::{self, Blanks, Cleaning};

/// Rules for elements that occur more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListRules {
    /// An element already present keeps its place (`LMOD_TMOD_PATH_RULE`).
    pub keep_place: bool,
    /// A list given to `prepend` is added element by element, so that it ends up reversed
    /// (`LMOD_PREPEND_BLOCK=no`).
    pub reverse_blocks: bool,
}

/// Where an element is to be taken away from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Its first occurrence.
    First,
    /// Its last occurrence.
    Last,
    /// Each occurrence.
    All,
}

/// How one call adds or removes elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListEdit<'a> {
    /// Elements, separated by the variable's delimiter.
    pub value: &'a str,
    /// No element may occur twice.
    pub no_duplicates: bool,
    /// As the call gives it: smaller than 0 towards the front.
    pub priority: f64,
}

/// One occurrence of an element.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    index: i32,
    priority: f64,
}

/// An element: its occurrences and the number of times it was added.
#[derive(Debug, Clone, PartialEq)]
struct Element {
    count: i64,
    places: Vec<Place>,
}

/// What the environment says about elements besides their order
/// (`__LMOD_REF_COUNT_X`, `__LMOD_Priority_X`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// Times each element was added.
    pub counts: BTreeMap<String, i64>,
    /// Priority of each element that has one.
    pub priorities: BTreeMap<String, f64>,
}

/// A variable in the course of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    name: String,
    delimiter: String,
    home: Rc<str>,
    blanks: Blanks,
    longest_row: usize,
    rules: ListRules,
    state: State,
    /// What each edit changed, since [`Variable::settle`].
    journal: Vec<Former>,
}

/// How a part of a variable stood before an edit. A whole list is never copied: a thousand
/// modulefiles add to the same few.
#[derive(Debug, Clone, PartialEq)]
enum Former {
    /// All of it.
    State(State),
    /// One element, and the ends of the list.
    Element { text: Rc<str>, element: Option<Element>, ends: (i32, i32) },
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Text(Option<String>),
    List(List),
    /// It is no variable now, but an alias or function of the shell, with this text.
    Definition(Option<String>),
}

#[derive(Debug, Clone, PartialEq, Default)]
struct List {
    elements: BTreeMap<Rc<str>, Element>,
    first: i32,
    last: i32,
}

impl Variable {
    /// The variable `name` with the value it has in the environment, as text.
    #[must_use]
    pub fn new(
        name: &str,
        value: Option<&str>,
        delimiter: &str,
        rules: ListRules,
        cleaning: Cleaning,
    ) -> Self {
        Self {
            name: name.to_owned(),
            delimiter: delimiter.to_owned(),
            home: Rc::from(cleaning.home),
            blanks: cleaning.blanks,
            longest_row: cleaning.longest_row,
            rules,
            state: State::Text(value.map(str::to_owned)),
            journal: Vec::new(),
        }
    }

    /// The number of changes that can be undone, for [`Self::undo_to`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.journal.len()
    }

    /// Undoes what has changed since `mark`.
    pub fn undo_to(&mut self, mark: usize) {
        while self.journal.len() > mark {
            match (self.journal.pop(), &mut self.state) {
                (Some(Former::State(former)), state) => *state = former,
                (Some(Former::Element { text, element, ends }), State::List(list)) => {
                    (list.first, list.last) = ends;
                    match element {
                        Some(element) => drop(list.elements.insert(text, element)),
                        None => drop(list.elements.remove(&text)),
                    }
                }
                // Elements change in lists only.
                (Some(Former::Element { .. }) | None, _) => {}
            }
        }
    }

    /// From here on nothing that was done can be undone.
    pub fn settle(&mut self) {
        self.journal = Vec::new();
    }

    /// Whether the variable is a list already, so that [`Self::make_list`] does nothing.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.state, State::List(_))
    }

    /// Reads a text value as a list. `stored` says how often each element was added and with
    /// which priority.
    pub fn make_list(&mut self, no_duplicates: bool, stored: &Stored) {
        let (State::Text(value) | State::Definition(value)) = &self.state else { return };
        let texts = match value.as_deref() {
            None | Some("") => Vec::new(),
            Some(value) => self.split(value),
        };
        let mut list = List { first: 1, last: 0, elements: BTreeMap::new() };
        for text in texts {
            list.last += 1;
            let priority = stored.priorities.get(&text).copied().unwrap_or(0.0);
            let place = Place { index: list.last, priority };
            let counted = stored.counts.get(&text).copied().unwrap_or(1) - 1;
            let element = list.entry(&text, counted);
            element.count += 1;
            if !no_duplicates || element.places.is_empty() {
                element.places.push(place);
            }
        }
        self.replace(State::List(list));
    }

    /// Makes it a text.
    pub fn set(&mut self, value: Option<String>) {
        self.replace(State::Text(value));
    }

    /// Makes it an alias or function of the shell, which has this text; `None` takes one away.
    /// The variable of that name is as it was before the evaluation, then.
    pub fn define(&mut self, text: Option<String>) {
        self.replace(State::Definition(text));
    }

    /// Whether it is an alias or function of the shell.
    #[must_use]
    pub fn is_definition(&self) -> bool {
        matches!(self.state, State::Definition(_))
    }

    fn replace(&mut self, state: State) {
        self.journal.push(Former::State(std::mem::replace(&mut self.state, state)));
    }

    /// Adds elements in front. Returns them, split and cleaned, in the order given.
    pub fn prepend(&mut self, edit: ListEdit) -> Vec<String> {
        let texts = self.split(edit.value);
        let rules = self.rules;
        let State::List(list) = &mut self.state else { return texts };
        let mut index = list.first.min(0);
        let journal = &mut self.journal;
        let mut insert = |text: &String| {
            index -= 1;
            journal.push(list.former(text));
            list.insert(text, Place { index, priority: edit.priority }, true, edit, rules);
        };
        if rules.reverse_blocks {
            texts.iter().for_each(&mut insert);
        } else {
            texts.iter().rev().for_each(&mut insert);
        }
        list.first = index;
        texts
    }

    /// Adds elements at the end. Returns them, split and cleaned.
    pub fn append(&mut self, edit: ListEdit) -> Vec<String> {
        let texts = self.split(edit.value);
        let rules = self.rules;
        let State::List(list) = &mut self.state else { return texts };
        for text in &texts {
            self.journal.push(list.former(text));
            list.last += 1;
            let place = Place { index: list.last, priority: edit.priority };
            list.insert(text, place, false, edit, rules);
        }
        texts
    }

    /// Takes elements away: without duplicates one count of each (all of them with `force`), else
    /// the occurrence `at`. Returns them, split and cleaned.
    pub fn remove(&mut self, edit: ListEdit, at: Where, force: bool) -> Vec<String> {
        let texts = self.split(edit.value);
        let State::List(list) = &mut self.state else { return texts };
        for text in &texts {
            self.journal.push(list.former(text));
            list.remove(text, at, edit, force);
        }
        texts
    }

    /// The value as the environment shows it; `None` where the variable is unset.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match &self.state {
            State::Text(value) | State::Definition(value) => value.clone(),
            State::List(list) => self.join(list),
        }
    }

    /// The elements in order.
    #[must_use]
    pub fn elements(&self) -> Vec<String> {
        match &self.state {
            State::Text(None) | State::Definition(None) => Vec::new(),
            State::Text(Some(value)) | State::Definition(Some(value)) => self.split(value),
            State::List(list) => list.ordered().into_iter().map(|text| text.to_string()).collect(),
        }
    }

    fn split(&self, value: &str) -> Vec<String> {
        let cleaning =
            Cleaning { home: &self.home, blanks: self.blanks, longest_row: self.longest_row };
        path::split(value, &self.delimiter, self.name == "MODULEPATH", cleaning)
    }

    fn join(&self, list: &List) -> Option<String> {
        if list.elements.is_empty() {
            return None;
        }
        let mut texts = list.ordered();
        for text in texts.iter_mut().filter(|text| &***text == " ") {
            *text = Rc::from("");
        }
        let named = texts.iter().rposition(|text| !text.is_empty()).map_or(0, |at| at + 1);
        texts.truncate(named + 1);
        let mut value = texts.join(&self.delimiter);
        if texts.len() == 1 && named == 0 {
            value = self.delimiter.repeat(2);
        } else if texts.last().is_some_and(|text| text.is_empty()) {
            value.push_str(&self.delimiter);
        }
        if self.name == "PATH" {
            let kept: Vec<&str> = value.split(':').filter(|part| !part.is_empty()).collect();
            value = kept.join(":");
        }
        Some(value)
    }
}

impl List {
    fn former(&self, text: &str) -> Former {
        let known = self.elements.get_key_value(text);
        Former::Element {
            text: known.map_or_else(|| Rc::from(text), |(text, _)| Rc::clone(text)),
            element: known.map(|(_, element)| element.clone()),
            ends: (self.first, self.last),
        }
    }

    /// The element `text`, made with `count` if there is none.
    fn entry(&mut self, text: &str, count: i64) -> &mut Element {
        self.elements.entry(Rc::from(text)).or_insert_with(|| Element { count, places: Vec::new() })
    }

    fn insert(&mut self, text: &str, place: Place, front: bool, edit: ListEdit, rules: ListRules) {
        let element = self.entry(text, 0);
        let known = element.count > 0;
        element.count += 1;
        if edit.no_duplicates || place.priority != 0.0 {
            let before = element.places.first().map_or(0.0, |place| place.priority);
            let priority = if place.priority < 0.0 {
                place.priority.min(before)
            } else if place.priority > 0.0 {
                place.priority.max(before)
            } else {
                0.0
            };
            if !(known && rules.keep_place) {
                element.places = vec![Place { priority, ..place }];
            }
        } else if front {
            element.places.insert(0, place);
        } else {
            element.places.push(place);
        }
    }

    fn remove(&mut self, text: &str, at: Where, edit: ListEdit, force: bool) {
        let Some(element) = self.elements.get_mut(text) else { return };
        let gone = if edit.no_duplicates {
            element.count -= 1;
            force || element.count < 1
        } else if at == Where::All || edit.priority != 0.0 {
            let priority = element.places.first().map_or(0.0, |place| place.priority);
            (priority - edit.priority).abs() < f64::EPSILON
        } else {
            if at == Where::First && !element.places.is_empty() {
                element.places.remove(0);
            } else {
                element.places.pop();
            }
            element.count -= 1;
            element.places.is_empty()
        };
        if gone {
            self.elements.remove(text);
        }
    }

    fn ordered(&self) -> Vec<Rc<str>> {
        let widest = f64::from(self.first.abs().max(self.last).saturating_add(1));
        let factor = 10_f64.powf((widest.log10() + 1.0).ceil());
        let mut places: Vec<(f64, &Rc<str>)> = self
            .elements
            .iter()
            .flat_map(|(text, element)| {
                let places = element.places.iter();
                places.map(move |place| (f64::from(place.index) + factor * place.priority, text))
            })
            .collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        places.into_iter().map(|(_, text)| Rc::clone(text)).collect()
    }
}

#[cfg(test)]
mod tests;
