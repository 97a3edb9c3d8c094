use super::*;

fn found(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let mut hits =
        PARTS.iter().flat_map(|part| lower.match_indices(part).map(|(at, hit)| (at, hit.len())));
    hits.find_map(|(at, length)| seen(text.as_bytes(), at, at + length))
}

#[test]
fn what_is_given_to_a_name_of_secrets_is_one() {
    for (text, want) in [
        ("password = hunter2x", PASSWORD),
        ("password = correcthorse", PASSWORD),
        ("setenv(\"DB_PASSWORD\", \"hunter2\")", PASSWORD),
        ("setenv DB_PASSWORD hunter2", PASSWORD),
        ("set -gx API_TOKEN abcd1234efgh", SECRET),
        ("MY_TOKEN=a1B2c3D4e5F6g7H8", SECRET),
        ("TOKEN=a1B2c3D4e5F6g7H8", SECRET),
        ("TOKEN=aQbWcEdRfTgYhUjIkOlPzX", SECRET),
        ("export API_KEY=\"a1B2c3D4e5F6\"", SECRET),
        ("SECRET_KEY=a1B2c3D4e5F6", SECRET),
        ("client_secret=a1B2c3D4e5F6", SECRET),
        ("curl -d client_secret=a1B2c3D4e5F6g7H8 x", SECRET),
        ("  token: a1B2c3D4e5F6", SECRET),
        ("api_key=a1B2c3D4e5F6", SECRET),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYab3dEFgh1", SECRET),
        ("AWS_SECRET_ACCESS_KEY=/JalrXUtnFEMI/K7MDENG/bPxRfiCYab3dEFgh1", SECRET),
        ("SMTP_PASS=hunter2", PASSWORD),
        ("MYSQL_PWD=hunter2", PASSWORD),
        ("DB_PASSWD=realSecret77", PASSWORD),
        ("WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567", SECRET),
        ("PRIVATE-TOKEN: a1B2c3D4e5F6g7H8", SECRET),
        ("{\"identitytoken\": \"a1B2c3D4e5F6g7H8\"}", SECRET),
        ("    client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVk=", SECRET),
        ("<password>hunter2x</password>", PASSWORD),
        ("machine a.org login jane password correct\n", PASSWORD),
        ("machine a.org\n  login jane\n  password pw1\n", PASSWORD),
        ("--password=hunter2", PASSWORD),
        ("'spark.keyPassword' => 'hunter2'", PASSWORD),
    ] {
        assert_eq!(found(text), Some(want), "{text}");
    }
}

#[test]
fn paths_names_placeholders_and_sentences_are_none() {
    for text in [
        "PASSWORD=/run/secrets/pw1",
        "password = get_password1",
        "--password=FILE1.txt",
        "X_TOKEN=some_identifier_v2x",
        "token: 123e4567-e89b-12d3-a456-426614174000",
        "password = <password>",
        "password: ${PASSWORD1}",
        "PASSWORD=xxxxxxxx1",
        "password = changeme1",
        "password=example1",
        "passwd: files systemd",
        "password == other1",
        "OMPI_TOKEN=/usr/lib/x86_64/libfoo1",
        "the password: wrong number 7",
        "password = required",
        "token = parser2->next",
        "    self.token = nextchar",
        "\"eos_token\": \"<|endoftext|>\"",
        "tokens = 4096abcdefgh",
        "PUBLIC_KEY=a1B2c3D4e5F6g7H8",
        "cache_key=a1B2c3D4e5F6g7H8",
        "secret = settings.SECRET2",
        "PASS: test42",
        "PWD=/tmp1",
        "login and password needed1",
        "token = std::string1",
        "password = None",
    ] {
        assert_eq!(found(text), None, "{text}");
    }
}

#[test]
fn variables_whose_names_say_so_are_not_shown() {
    for (name, want) in [
        ("DB_PASSWORD", true),
        ("MY_TOKEN", true),
        ("TOKEN_FILE", true),
        ("API_KEY", true),
        ("PWD", false),
        ("TOKENIZERS_PARALLELISM", false),
        ("PATH", false),
    ] {
        assert_eq!(is_secret_variable(name), want, "{name}");
    }
}
