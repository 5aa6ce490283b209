//! Tests of the connection: two files ask what each requirement says, one shows the whole matrix, one
//! tries everything in any order.

mod bounds;
mod credentials;
mod last_words;
mod matrix;
mod older;
mod older_bounds;
mod older_matrix;
mod properties;
mod requirements;
mod rig;
mod slow_hub;
