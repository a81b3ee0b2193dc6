/** What is used of turndown. Its own types want those of a browser. */
declare module "turndown" {
  class TurndownService {
    constructor(options?: {
      readonly headingStyle?: "atx" | "setext";
      readonly codeBlockStyle?: "fenced" | "indented";
      readonly bulletListMarker?: "-" | "*" | "+";
    });
    /** Elements that are left out, with all that is in them. */
    remove(names: readonly string[]): this;
    turndown(html: string): string;
  }
  export = TurndownService;
}
