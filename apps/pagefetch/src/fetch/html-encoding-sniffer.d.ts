declare module "html-encoding-sniffer" {
  // biome-ignore lint/style/noDefaultExport: it is how the package is
  export default function sniff(
    bytes: Uint8Array,
    options?: {
      readonly transportLayerEncodingLabel?: string;
      readonly defaultEncoding?: string;
      readonly maxPrescanBytes?: number;
    },
  ): string;
}
