#![no_main]

vestibule_fuzz::feed!("api_token");
