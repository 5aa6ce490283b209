//! Periods in a question: which days, or how far ahead.

use goldenpath_runtime::usage::{Day, Period};

use super::amounts::number;
use super::words::Words;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Where "until November 12" begins: before any record.
pub(super) const BEGINNING: Day = Day(0);

/// Whether a word is part of a period: a unit, a month, a day of the week.
pub(super) fn is_time(word: &str) -> bool {
    const UNITS: &[&str] = &[
        "current",
        "day",
        "days",
        "fortnight",
        "month",
        "months",
        "mtd",
        "qtd",
        "quarter",
        "quarters",
        "today",
        "tomorrow",
        "trailing",
        "upcoming",
        "coming",
        "yesterday",
        "ytd",
        "q1",
        "q2",
        "q3",
        "q4",
    ];
    UNITS.contains(&word)
        || month(word).is_some()
        || WEEKDAYS.contains(&word)
        || month_number(word).is_some()
}

/// January is 1. Short forms have three letters, September four as well.
fn month(word: &str) -> Option<u32> {
    let is = |name: &str| {
        word == name
            || (word.len() == 3 && name.starts_with(word))
            || (word == "sept" && name == "september")
    };
    (1..).zip(MONTHS).find(|(_, name)| is(name)).map(|(month, _)| month)
}

/// The period behind today and the days ahead a question names.
pub(super) fn read(words: &Words, today: Day) -> (Option<Period>, Option<u32>) {
    (past(words, today), ahead(words, today))
}

fn past(words: &Words, today: Day) -> Option<Period> {
    if let Some(period) = dates(words, today) {
        return Some(period);
    }
    if words.contains("yesterday") {
        return Some(Period::of_days(today.plus(-1), today.plus(-1)));
    }
    for lead in ["last", "past", "previous", "trailing", "recent"] {
        let period = words.find(lead).and_then(|at| counted(words, at, lead, today));
        if period.is_some() {
            return period;
        }
    }
    for (phrase, first) in [
        ("this week", today.plus(-(today.weekday() as i32))),
        ("week to date", today.plus(-(today.weekday() as i32))),
        ("this month", today.month_start()),
        ("current month", today.month_start()),
        ("month to date", today.month_start()),
        ("month so far", today.month_start()),
        ("mtd", today.month_start()),
        ("this quarter", quarter_start(today)),
        ("qtd", quarter_start(today)),
        ("this year", year_start(today)),
        ("year to date", year_start(today)),
        ("ytd", year_start(today)),
        ("today", today),
    ] {
        if words.contains(phrase) {
            return Some(Period::of_days(first, today));
        }
    }
    named(words, today).or_else(|| weekday(words, today))
}

/// "last 14 days", "past two weeks", "last month", "previous quarter".
fn counted(words: &Words, at: usize, lead: &str, today: Day) -> Option<Period> {
    let count = words.get(at).and_then(number);
    let unit = words.get(if count.is_some() { at + 1 } else { at })?;
    let back = |days: i32| Some(Period::of_days(today.plus(1 - days), today));
    if let Some(count) = count.filter(|count| (1..=1000).contains(count)).map(|count| count as i32)
    {
        return match unit {
            "day" | "days" => back(count),
            "week" | "weeks" => back(count * 7),
            "month" | "months" => back(count * 30),
            "quarter" | "quarters" => back(count * 91),
            "year" | "years" => back((count * 365).min(3660)),
            "hours" => back((count + 23) / 24),
            _ => None,
        };
    }
    // "past month" rolls back from today, "last month" is the one in the calendar.
    if lead == "past" || lead == "trailing" {
        return match unit {
            "day" => back(1),
            "week" => back(7),
            "fortnight" => back(14),
            "month" => back(30),
            "quarter" => back(91),
            "year" => back(365),
            _ => None,
        };
    }
    match unit {
        "week" => {
            let monday = today.plus(-(today.weekday() as i32) - 7);
            Some(Period::of_days(monday, monday.plus(6)))
        }
        "fortnight" => back(14),
        "month" => {
            let last = today.month_start().plus(-1);
            Some(Period::of_days(last.month_start(), last))
        }
        "quarter" => {
            let last = quarter_start(today).plus(-1);
            Some(Period::of_days(quarter_start(last), last))
        }
        "year" => {
            let last = year_start(today).plus(-1);
            Some(Period::of_days(year_start(last), last))
        }
        "days" | "time" => back(7),
        _ => None,
    }
}

/// Days: one is a day (or since it, until it), two are a range; `2026-10` is a month.
fn dates(words: &Words, today: Day) -> Option<Period> {
    let found = days(words, today);
    match found.as_slice() {
        [] => words.iter().find_map(month_number),
        [(at, day)] => {
            let before = |steps: usize| at.checked_sub(steps).and_then(|at| words.get(at));
            let lead = if before(1) == Some("the") { before(2) } else { before(1) };
            Some(match lead {
                Some("after") => Period::of_days(day.plus(1), day.plus(1).max(today)),
                Some("from" | "since") => Period::of_days(*day, (*day).max(today)),
                Some("before") => Period { from: BEGINNING, until: *day },
                Some("till" | "until" | "through") => Period::of_days(BEGINNING, *day),
                Some("to") if before(2) == Some("up") => Period::of_days(BEGINNING, *day),
                _ => Period::of_days(*day, *day),
            })
        }
        [(_, one), (_, other), ..] => Some(Period::of_days(*one.min(other), *one.max(other))),
    }
}

/// Every day of the calendar a question names, with the place of its first word: `2026-11-12`,
/// "November 12", "12th of November 2025", "November 3 to 9".
fn days(words: &Words, today: Day) -> Vec<(usize, Day)> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if let Some(day) = Day::parse(word) {
            found.push((at, day));
            continue;
        }
        let Some(month) = month(word) else { continue };
        let number = |at: Option<usize>| at.and_then(|at| words.get(at)).and_then(of_month);
        let is = |at: Option<usize>, wanted: &[&str]| {
            at.and_then(|at| words.get(at)).is_some_and(|word| wanted.contains(&word))
        };
        let to = ["-", "and", "through", "till", "to", "until"];
        // After the month: "November 12", "November 3 to 9", "November 3-9".
        let (mut numbers, mut end, mut begin) = (Vec::new(), at + 1, at);
        if let Some((first, last)) = words.get(at + 1).and_then(|word| word.split_once(['-', '–']))
        {
            numbers = [first, last].into_iter().filter_map(of_month).collect();
            end = at + 2;
        } else if let Some(first) = number(Some(at + 1)) {
            numbers.push(first);
            end = at + 2;
            if is(Some(at + 2), &to)
                && words.get(at + 4).is_none_or(|next| self::month(next).is_none())
            {
                let last = number(Some(at + 3));
                end = if last.is_some() { at + 4 } else { end };
                numbers.extend(last);
            }
        } else {
            // Before it: "12 November", "the 12th of November", "3 to 9 November".
            let at = if is(at.checked_sub(1), &["of"]) { at - 1 } else { at };
            if let Some(last) = number(at.checked_sub(1)) {
                begin = at - 1;
                let joint = at.checked_sub(2).filter(|at| is(Some(*at), &to));
                if let Some(first) = joint.and_then(|_| number(at.checked_sub(3))) {
                    begin = at - 3;
                    numbers.push(first);
                }
                numbers.push(last);
            }
        }
        let year = words.get(end).and_then(year);
        for number in numbers {
            let this_year = today.date().0;
            let latest = Day::of_date(this_year, month, number).filter(|day| *day <= today);
            let year = year.unwrap_or(if latest.is_some() { this_year } else { this_year - 1 });
            found.extend(Day::of_date(year, month, number).map(|day| (begin, day)));
        }
    }
    found
}

/// The day of a month in digits: `12`, `12th`.
fn of_month(word: &str) -> Option<u32> {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let ordinal = matches!(&word[digits.len()..], "" | "st" | "nd" | "rd" | "th");
    digits.parse().ok().filter(|number| ordinal && (1..=31).contains(number))
}

/// "on Tuesday", "last Friday": the latest one behind us.
fn weekday(words: &Words, today: Day) -> Option<Period> {
    let place =
        |(at, word): (usize, &str)| Some((at, WEEKDAYS.iter().position(|day| *day == word)?));
    let (at, wanted) = words.iter().enumerate().find_map(place)?;
    let before = at.checked_sub(1).and_then(|at| words.get(at)).unwrap_or("");
    let back = (today.weekday() as i32 - wanted as i32).rem_euclid(7);
    let back = if back == 0 && before == "last" { 7 } else { back };
    let day = today.plus(-back);
    Some(Period::of_days(day, if before == "since" { today } else { day }))
}

fn month_number(word: &str) -> Option<Period> {
    let (year, month) =
        word.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)?;
    let first = Day::of_date(year.parse().ok()?, month.parse().ok()?, 1)?;
    Some(Period { from: first, until: first.next_month() })
}

/// "in October", "October 2026", "Q3 2026", "in 2025". Without a year the latest that has begun.
fn named(words: &Words, today: Day) -> Option<Period> {
    let (this_year, ..) = today.date();
    for (at, word) in words.iter().enumerate() {
        let year_after = words.get(at + 1).and_then(year);
        let before = at.checked_sub(1).and_then(|at| words.get(at)).unwrap_or("");
        let month = month(word);
        // "may" is a verb more often than a month.
        let month = month.filter(|_| {
            word != "may"
                || year_after.is_some()
                || matches!(before, "during" | "for" | "in" | "of" | "since")
        });
        if let Some(month) = month {
            let latest = || {
                Day::of_date(this_year, month, 1)
                    .filter(|first| *first <= today)
                    .map_or(this_year - 1, |_| this_year)
            };
            let first = Day::of_date(year_after.unwrap_or_else(latest), month, 1)?;
            let until = if before == "since" {
                today.plus(1).max(first.plus(1))
            } else {
                first.next_month()
            };
            return Some(Period { from: first, until });
        }
        if let Some(quarter) = word
            .strip_prefix('q')
            .and_then(|text| text.parse::<u32>().ok())
            .filter(|q| (1..=4).contains(q))
        {
            let month = quarter * 3 - 2;
            let latest = || {
                Day::of_date(this_year, month, 1)
                    .filter(|first| *first <= today)
                    .map_or(this_year - 1, |_| this_year)
            };
            let first = Day::of_date(year_after.unwrap_or_else(latest), month, 1)?;
            return Some(Period { from: first, until: first.plus(62).next_month() });
        }
        if let Some(year) =
            year(word).filter(|_| matches!(before, "during" | "for" | "in" | "of" | "year"))
        {
            let first = Day::of_date(year, 1, 1)?;
            return Some(Period { from: first, until: Day::of_date(year + 1, 1, 1)? });
        }
    }
    None
}

fn year(word: &str) -> Option<i32> {
    word.parse().ok().filter(|year| word.len() == 4 && (2000..2100).contains(year))
}

/// "next month", "next 14 days", "by the end of the month".
fn ahead(words: &Words, today: Day) -> Option<u32> {
    let days_until = |day: Day| u32::try_from(day.since(today)).ok().filter(|days| *days > 0);
    for lead in ["next", "coming", "following", "upcoming"] {
        let Some(at) = words.find(lead) else { continue };
        let count = words.get(at).and_then(number);
        let unit = words.get(if count.is_some() { at + 1 } else { at });
        let days = match unit {
            Some("day" | "days") => 1,
            Some("week" | "weeks") => 7,
            Some("month" | "months") => 30,
            Some("quarter" | "quarters") => 91,
            Some("year" | "years") => 365,
            _ => continue,
        };
        return Some((count.unwrap_or(1).max(1) * days).min(366));
    }
    if words.contains("tomorrow") {
        return Some(1);
    }
    let ends = [
        ("month", today.next_month()),
        ("quarter", quarter_start(today).plus(95).month_start()),
        ("year", year_start(today).plus(370).month_start()),
    ];
    ends.into_iter().find_map(|(unit, end)| {
        let said = [
            format!("end of the {unit}"),
            format!("end of {unit}"),
            format!("end of this {unit}"),
            format!("rest of the {unit}"),
            format!("{unit} end"),
        ];
        let end = if unit == "year" { year_start(end) } else { end };
        said.iter().any(|phrase| words.contains(phrase)).then(|| days_until(end)).flatten()
    })
}

fn quarter_start(day: Day) -> Day {
    let (year, month, _) = day.date();
    Day::of_date(year, (month - 1) / 3 * 3 + 1, 1).unwrap_or(day)
}

fn year_start(day: Day) -> Day {
    Day::of_date(day.date().0, 1, 1).unwrap_or(day)
}
