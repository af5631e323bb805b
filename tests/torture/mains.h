/* Names of the main functions of the tortured programs.  This header is
 * included before everything else in them, so it must not include anything. */

#ifndef MAINS_H
#define MAINS_H

int program_gather_main(void);
int program_chain_main(void);
int program_deadline_main(void);
int program_ask_main(void);
int program_embed_main(void);
int program_echo_main(int argc, char **argv);
int program_fetch_main(int argc, char **argv);
int example_gather_main(int argc, char **argv);
int example_chain_main(int argc, char **argv);
int example_chat_main(int argc, char **argv);
int example_http_server_main(int argc, char **argv);
int example_proxy_main(int argc, char **argv);
int example_http_get_main(int argc, char **argv);
int example_resolve_main(int argc, char **argv);
int example_scrape_main(int argc, char **argv);
int example_echo_server_main(int argc, char **argv);
int example_echo_client_main(int argc, char **argv);

#endif
