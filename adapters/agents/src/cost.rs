//! The cost analysis: prices, analyses, rules, and the report.

pub mod display;
pub mod prices;
