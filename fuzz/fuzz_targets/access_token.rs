#![no_main]

vestibule_fuzz::feed!("access_token");
