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
    named(words, today)
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

/// ISO dates: one is a day (or since it), two are a range; `2026-10` is a month.
fn dates(words: &Words, today: Day) -> Option<Period> {
    let found: Vec<(usize, Day)> = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| Day::parse(word).map(|day| (at, day)))
        .collect();
    match found.as_slice() {
        [] => words.iter().find_map(month_number),
        [(at, day)] => {
            let before = at.checked_sub(1).and_then(|at| words.get(at));
            let open = matches!(before, Some("after" | "from" | "since"));
            Some(if open {
                Period::of_days(*day, (*day).max(today))
            } else {
                Period::of_days(*day, *day)
            })
        }
        [(_, one), (_, other), ..] => Some(Period::of_days(*one.min(other), *one.max(other))),
    }
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
        let month = (1..)
            .zip(MONTHS)
            .find(|(_, name)| word == *name || (word.len() == 3 && name.starts_with(word)));
        // "may" is a verb more often than a month.
        let month = month.filter(|_| {
            word != "may"
                || year_after.is_some()
                || matches!(before, "during" | "for" | "in" | "of" | "since")
        });
        if let Some((month, _)) = month {
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
